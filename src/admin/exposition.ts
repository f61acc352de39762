/**
 * Writes Prometheus's text format (version 0.0.4): families of samples, each with its help and type. Main thread.
 *
 * A family without samples is written too, so that what there could be can be seen.
 */

import type { Histogram } from '../control/service-counters.ts';

export type Labels = Readonly<Record<string, string>>;
export type Sample<T = number> = readonly [labels: Labels, value: T];

const PREFIX = 'stekbal_';

export class Exposition {
  text = '';

  /** A number alone is a sample without labels. `name` lacks the prefix of all names here, and ends in _total. */
  counter(name: string, help: string, samples: number | readonly Sample[]): void {
    this.#simple('counter', name, help, samples);
  }

  gauge(name: string, help: string, samples: number | readonly Sample[]): void {
    this.#simple('gauge', name, help, samples);
  }

  histogram(name: string, help: string, samples: readonly Sample<Histogram>[]): void {
    this.#begin('histogram', name, help);
    for (const [labels, { bounds, counts, sum }] of samples) {
      let count = 0;
      for (const [i, more] of counts.entries()) {
        count += more;
        this.#line(`${name}_bucket`, { ...labels, le: i < bounds.length ? String(bounds[i]) : '+Inf' }, count);
      }
      this.#line(`${name}_sum`, labels, sum);
      this.#line(`${name}_count`, labels, count);
    }
  }

  #simple(type: 'counter' | 'gauge', name: string, help: string, samples: number | readonly Sample[]): void {
    this.#begin(type, name, help);
    if (typeof samples === 'number') this.#line(name, {}, samples);
    else for (const [labels, value] of samples) this.#line(name, labels, value);
  }

  #begin(type: string, name: string, help: string): void {
    this.text += `# HELP ${PREFIX}${name} ${help.replace(/[\\\n]/g, escaped)}\n# TYPE ${PREFIX}${name} ${type}\n`;
  }

  #line(name: string, labels: Labels, value: number): void {
    let text = '';
    for (const label in labels) text += `${text === '' ? '{' : ','}${label}="${quoted(labels[label] as string)}"`;
    this.text += `${PREFIX}${name}${text === '' ? '' : `${text}}`} ${value}\n`;
  }
}

function quoted(value: string): string {
  return UNSAFE.test(value) ? value.replace(/[\\\n"]/g, escaped) : value;
}

const UNSAFE = /[\\\n"]/;

function escaped(character: string): string {
  return character === '\n' ? '\\n' : `\\${character}`;
}
