/** The part of Eleventy's API that is used here; Eleventy ships no types. */
declare module '@11ty/eleventy' {
  export interface UserConfig {
    setLibrary(name: 'md', library: import('markdown-it').default): void;
    addGlobalData(name: string, value: unknown): void;
    addFilter(name: string, filter: (value: string) => string): void;
  }

  /** The data of a page in a template. */
  export interface TemplateData {
    /** `filePathStem` is the path below the input folder without extension: `/how-to/upgrade`. */
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
