import { execFileSync } from 'node:child_process';
import { parseAllDocuments } from 'yaml';
import type { KubeObject } from '../../agent/object/kube-object.ts';
import { type Chart, pathOf } from '../../charts/write.ts';
import { goTool } from './go-tool.ts';

export interface Helm {
  /** Runs `helm lint --strict`. Throws when it finds anything. */
  lint(chart: Chart, values: object): string;
  /**
   * Renders the objects of a release of this name in the namespace `brokkr`. Throws Helm's message when the values are
   * refused.
   */
  render(chart: Chart, values: object, release?: string): KubeObject[];
  /**
   * Installs a release of this name in the namespace `brokkr` of a cluster, or upgrades it, without waiting for pods.
   */
  install(chart: Chart, values: object, release: string, kubeconfig: string): void;
}

/** Opens Helm itself, building it where it has not been; requires `needs('go')`. */
export async function openHelm(): Promise<Helm> {
  const helm = await goTool('helm.sh/helm/v4/cmd/helm', 'v4.3.1');
  const run = (values: object, ...args: string[]) => {
    try {
      return execFileSync(helm, [...args, '--values', '-'], {
        input: JSON.stringify(values),
        encoding: 'utf8',
        stdio: 'pipe',
      });
    } catch (error) {
      throw new Error((error as { stderr: string }).stderr);
    }
  };
  return {
    lint: (chart, values) => run(values, 'lint', '--strict', pathOf(chart, '')),
    render: (chart, values, release = 'lab') =>
      parseAllDocuments(run(values, 'template', release, pathOf(chart, ''), '--namespace', 'brokkr')).flatMap(
        (document) => (document.toJS() as KubeObject | null) ?? [],
      ),
    install(chart, values, release, kubeconfig) {
      const where = ['--namespace', 'brokkr', '--kubeconfig', kubeconfig];
      run(values, 'upgrade', '--install', release, pathOf(chart, ''), ...where);
    },
  };
}
