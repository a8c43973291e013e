/** A sample of Prometheus' text format. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Family {
  readonly type: string;
  readonly help: string;
  readonly samples: readonly Sample[];
}

const label = /(\w+)="((?:[^"\\\n]|\\.)*)"/g;

/** Parses Prometheus' text format (version 0.0.4), by family. Throws at the first invalid line. */
export function readExposition(text: string): Map<string, Family> {
  const families = new Map<string, { type: string; help: string; samples: Sample[] }>();
  const familyOf = (name: string) => {
    const family = families.get(name) ?? { type: '', help: '', samples: [] };
    families.set(name, family);
    return family;
  };
  let last = '';
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const [, kind, name = '', rest = ''] = /^# (HELP|TYPE) (\w+) (.*)$/.exec(line) ?? [];
    if (kind) {
      Object.assign(familyOf(name), kind === 'HELP' ? { help: rest } : { type: rest });
      last = name;
      continue;
    }
    const [, sample = '', , labels = '', value = ''] =
      /^(\w+)(\{(.*)\})? (-?[\d.e+-]+|NaN|Nan|[+-]Inf)$/.exec(line) ?? [];
    if (sample === '' || !sample.startsWith(last)) throw new Error(`not a sample of ${last}: ${line}`);
    const pairs = [...labels.matchAll(label)];
    if (pairs.map(([pair]) => pair).join(',') !== labels) throw new Error(`not labels: ${line}`);
    familyOf(last).samples.push({
      name: sample,
      labels: Object.fromEntries(pairs.map(([, key = '', text = '']) => [key, text])),
      value: Number(value.replace('Inf', 'Infinity')),
    });
  }
  return families;
}
