import type { Handler } from './port.ts';

/** Answers one line of plain text. */
export function sendText(response: Parameters<Handler>[1], status: number, body: string): void {
  response.statusCode = status;
  response.setHeader('content-type', 'text/plain; charset=utf-8');
  response.setHeader('cache-control', 'no-store');
  response.end(`${body}\n`);
}
