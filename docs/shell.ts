/** One command of a shell block, split into words as the shell does. */
export interface ShellCommand {
  readonly words: readonly string[];
  /** The line of the block that contains it. */
  readonly text: string;
}

/** A command of a console block and its output. */
export interface Exchange {
  readonly command: string;
  readonly shown: readonly string[];
}

/** Splits a console block into exchanges: `$ ` begins a command, `> ` continues it, and other lines are output. */
export function exchangesOf(text: string): Exchange[] {
  const exchanges: { command: string; shown: string[] }[] = [];
  for (const line of text.trimEnd().split('\n')) {
    const last = exchanges.at(-1);
    if (line.startsWith('$ ')) exchanges.push({ command: line.slice(2), shown: [] });
    else if (line.startsWith('> ') && last?.shown.length === 0) last.command += `\n${line.slice(2)}`;
    else if (last) last.shown.push(line);
    else throw new Error(`a console block begins with output: ${line}`);
  }
  return exchanges;
}

/**
 * Returns the simple commands of a shell text, split at line ends, pipes, `&&`, `||` and `;`, without comments and redirections. Quoted
 * text stays one word; substitutions and here-documents are not parsed.
 */
export function commandsOf(text: string): ShellCommand[] {
  return text
    .replaceAll(/(<<'?(\w+)'?[^\n]*)\n[\s\S]*?\n\2$/gm, '$1')
    .replaceAll(/\\\n\s*/g, ' ')
    .split('\n')
    .flatMap(simpleCommands);
}

/** Keywords that may precede a command. */
const keywords = new Set(['do', 'else', 'if', 'then', 'until', 'while']);

function simpleCommands(line: string): ShellCommand[] {
  const commands: string[][] = [[]];
  let word: string | undefined;
  const endWord = () => {
    if (word !== undefined) commands.at(-1)?.push(word);
    word = undefined;
  };
  for (let at = 0; at < line.length; at += 1) {
    const character = line[at] ?? '';
    if (character === "'" || character === '"') {
      const end = line.indexOf(character, at + 1);
      // An unclosed apostrophe: the text continues on the next line.
      const stop = end === -1 ? line.length : end;
      word = (word ?? '') + line.slice(at + 1, stop);
      at = stop;
    } else if (line.startsWith('$(', at)) {
      const end = line.indexOf(')', at);
      word = (word ?? '') + line.slice(at, end + 1);
      at = end;
    } else if (character === '#' && word === undefined) break;
    else if (/\s/.test(character)) endWord();
    else if (/[|;&]/.test(character)) {
      endWord();
      commands.push([]);
    } else word = (word ?? '') + character;
  }
  endWord();
  return commands
    .map((words) => withoutRedirections(words))
    .map((words) => words.slice(words.findIndex((word) => !/^\w+=/.test(word) && !keywords.has(word))))
    .filter(([name]) => name !== undefined && !/^(done|fi)$/.test(name) && !/^\w+=/.test(name))
    .map((words) => ({ words, text: line.trim() }));
}

/** `> file`, `>file`, `2>/dev/null`, `< file` */
function withoutRedirections(words: readonly string[]): string[] {
  return words.filter((word, at) => !/^\d?[<>]/.test(word) && !/^\d?[<>]+$/.test(words[at - 1] ?? ''));
}
