import { Argument } from 'commander';
import type { VerbDefinitions } from '../command.ts';

/** Each asks the command itself what may come next, and falls back to files. */
const scripts = {
  bash: `_brokkr() {
  local IFS=$'\\n'
  COMPREPLY=($(brokkr __complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _brokkr brokkr`,
  zsh: `#compdef brokkr
_brokkr() {
  local -a found
  found=("\${(@f)$(brokkr __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -n "$found" ]]; then compadd -a found; else _files; fi
}
compdef _brokkr brokkr`,
  fish: `function __brokkr_complete
  set -l words (commandline -opc) (commandline -ct)
  brokkr __complete -- $words[2..] 2>/dev/null
end
complete -c brokkr -f -a '(__brokkr_complete)'
complete -c brokkr -s f -l filename -r -F`,
} as const;

export const verbs: VerbDefinitions = {
  completion: (command) =>
    command
      .addArgument(new Argument('<shell>').choices(Object.keys(scripts)))
      .addHelpText(
        'after',
        '\nbash: source <(brokkr completion bash)   zsh: source <(brokkr completion zsh)   fish: brokkr completion fish | source',
      )
      .action((shell: keyof typeof scripts) => {
        process.stdout.write(`${scripts[shell]}\n`);
      }),
};
