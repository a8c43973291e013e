import MarkdownIt from 'markdown-it';
import type Token from 'markdown-it/lib/token.mjs';

/** Creates the Markdown renderer of the site: headings get anchors, links lead to built pages, and diagrams are drawn in the browser. */
export function createMarkdown(): MarkdownIt {
  const markdown = new MarkdownIt({ html: false });
  markdown.core.ruler.push('brokkr', ({ tokens }) => {
    for (const { token, slug } of headingsOf(tokens)) token.attrSet('id', slug);
    for (const link of linkTokensOf(tokens)) link.attrSet('href', builtPath(link.attrGet('href') ?? ''));
  });
  const { fence } = markdown.renderer.rules;
  markdown.renderer.rules.fence = (tokens, index, ...rest) => {
    const token = tokens[index];
    if (token?.info === 'mermaid') return `<pre class="mermaid">${markdown.utils.escapeHtml(token.content)}</pre>\n`;
    return fence?.(tokens, index, ...rest) ?? '';
  };
  markdown.renderer.rules.table_open = () => '<div class="table"><table>\n';
  markdown.renderer.rules.table_close = () => '</table></div>\n';
  return markdown;
}

export interface Heading {
  readonly token: Token;
  readonly level: number;
  readonly text: string;
  /** The anchor as GitHub computes it, so that links work there and on the site. */
  readonly slug: string;
}

/** Returns the headings among the tokens of a page, in order. */
export function headingsOf(tokens: readonly Token[]): Heading[] {
  const seen = new Map<string, number>();
  return tokens.flatMap((token, index) => {
    if (token.type !== 'heading_open') return [];
    const text = textOf(tokens[index + 1]);
    const plain = slugOf(text);
    const times = seen.get(plain) ?? 0;
    seen.set(plain, times + 1);
    return [{ token, text, level: Number(token.tag.slice(1)), slug: times === 0 ? plain : `${plain}-${times}` }];
  });
}

/** Returns the opening tokens of links. */
export function linkTokensOf(tokens: readonly Token[]): Token[] {
  return tokens.flatMap(({ children }) => children ?? []).filter(({ type }) => type === 'link_open');
}

function textOf(inline: Token | undefined): string {
  return (inline?.children ?? [])
    .filter(({ type }) => type === 'text' || type === 'code_inline')
    .map(({ content }) => content)
    .join('');
}

function slugOf(text: string): string {
  return text
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replaceAll(/\s/g, '-');
}

/** Rewrites a link to a page's source, which works in the repository, to the built page. */
export function builtPath(href: string): string {
  return /^\w+:/.test(href) ? href : href.replace(/\.md(?=#|$)/, '.html');
}
