import type { TemplateData, UserConfig } from '@11ty/eleventy';
import { partsOf, readPages } from '../pages.ts';
import { builtPath, createMarkdown } from './markdown.ts';

/** Configures Eleventy: each page keeps its path and gets a list of all pages beside it. */
export default function configure(config: UserConfig): object {
  const pages = readPages();
  const index = pages.get('index.md');
  if (!index) throw new Error('docs/content/index.md is missing: it lists the pages');
  const parts = partsOf(index).map(({ title, pages: paths }) => ({
    title,
    pages: paths.map((path) => ({ path, title: pages.get(path)?.title ?? path })),
  }));
  const pathOf = ({ page }: TemplateData) => `${page.filePathStem.slice(1)}.md`;
  const pageOf = (data: TemplateData) => pages.get(pathOf(data));
  config.setLibrary('md', createMarkdown());
  config.addGlobalData('layout', 'page.liquid');
  config.addGlobalData('parts', parts);
  config.addGlobalData('permalink', () => (data: TemplateData) => builtPath(pathOf(data)));
  config.addGlobalData('eleventyComputed', {
    path: pathOf,
    title: (data: TemplateData) => pageOf(data)?.title,
    hasDiagrams: (data: TemplateData) => pageOf(data)?.blocks.some(({ language }) => language === 'mermaid'),
    home: (data: TemplateData) => '../'.repeat(pathOf(data).split('/').length - 1),
  });
  config.addFilter('built', builtPath);
  return {
    dir: { includes: '../site' },
    templateFormats: ['md'],
    // Braces in the examples belong to Kubernetes and shells, not to a template.
    markdownTemplateEngine: false,
  };
}
