/** One command of a shell block, its words as the shell would hand them over. */
export interface ShellCommand {
  readonly words: readonly string[];
  /** As it stands in the block. */
  readonly text: string;
}

/** The lines of a console block: what is typed, and what is shown after it. */
export interface Exchange {
  readonly command: string;
  readonly shown: readonly string[];
}

/** A console block in its exchanges: lines after `$ ` are typed, further ones after `> ` too; the rest is shown. */
export function exchangesOf(text: string): Exchange[] {
  const exchanges: { command: string; shown: string[] }[] = [];
  for (const line of text.trimEnd().split('\n')) {
    const last = exchanges.at(-1);
    if (line.startsWith('$ ')) exchanges.push({ command: line.slice(2), shown: [] });
    else if (line.startsWith('> ') && last?.shown.length === 0) last.command += `\n${line.slice(2)}`;
    else if (last) last.shown.push(line);
    else throw new Error(`a console block begins with what is shown: ${line}`);
  }
  return exchanges;
}

/**
 * The simple commands of a shell text: split at line ends, pipes, `&&`, `||` and `;`, comments and redirections left out. What is in
 * quotes stays one word; substitutions and here-documents are not looked into.
 */
export function commandsOf(text: string): ShellCommand[] {
  return text
    .replaceAll(/(<<'?(\w+)'?[^\n]*)\n[\s\S]*?\n\2$/gm, '$1')
    .replaceAll(/\\\n\s*/g, ' ')
    .split('\n')
    .flatMap(simpleCommands);
}

/** What may stand before a command in its place. */
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
      // An apostrophe that nothing closes: the text goes on in the next line.
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
