/** What is used of Eleventy, which ships no types of its own. */
declare module '@11ty/eleventy' {
  export interface UserConfig {
    setLibrary(name: 'md', library: import('markdown-it').default): void;
    addGlobalData(name: string, value: unknown): void;
    addFilter(name: string, filter: (value: string) => string): void;
  }

  /** What a template knows of its page. */
  export interface TemplateData {
    /** `filePathStem`: below the input folder, without the ending, `/how-to/upgrade`. */
    readonly page: { readonly filePathStem: string };
  }

  export interface EleventyOptions {
    readonly quietMode: boolean;
    readonly configPath: string;
  }

  export default class Eleventy {
    constructor(input: string, output: string, options: EleventyOptions);
    write(): Promise<unknown>;
  }
}
