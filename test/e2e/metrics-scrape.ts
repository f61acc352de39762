/** Asks a running program for its metrics. */

import http from 'node:http';

export interface Scrape {
  readonly text: string;
  /** By name and labels, as they stand in the text. */
  readonly samples: ReadonlyMap<string, number>;
  /** Of each family. */
  readonly types: ReadonlyMap<string, string>;
}

/** Rejects where the answer is not 200. */
export function scrape(socketPath: string): Promise<Scrape> {
  return new Promise((resolve, reject) => {
    const request = http.get({ socketPath, path: '/metrics', agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => {
        if (response.statusCode === 200) resolve({ text, samples: samplesOf(text), types: typesOf(text) });
        else reject(new Error(`${response.statusCode}: ${text}`));
      });
    });
    request.on('error', reject);
  });
}

function samplesOf(text: string): Map<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const space = line.lastIndexOf(' ');
      return [line.slice(0, space), Number(line.slice(space + 1))];
    }),
  );
}

function typesOf(text: string): Map<string, string> {
  return new Map([...text.matchAll(/^# TYPE (\w+) (\w+)$/gm)].map(([, name = '', type = '']) => [name, type]));
}
