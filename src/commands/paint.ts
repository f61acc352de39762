/** Colours of a terminal. Main thread of a command. */

import { styleText } from 'node:util';

export type Style = 'red' | 'yellow' | 'green' | 'bold' | 'dim';
export type Paint = (style: Style, text: string) => string;

export const noPaint: Paint = (_style, text) => text;

/** For stdout: none where it is no terminal, or where NO_COLOR is set (no-color.org). */
export const terminalPaint: Paint = (style, text) => styleText(style, text, { stream: process.stdout });

/** Text of other programs, which could hold what a terminal obeys. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, '?');
}
