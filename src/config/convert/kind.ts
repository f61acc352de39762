/**
 * Tells whose configuration a text is. Pure; main thread of a command.
 */

/** Whose configuration is converted. */
export const CONVERT_KINDS = ['perlbal', 'trafficserver'] as const;
export type ConvertKind = (typeof CONVERT_KINDS)[number];

/** How a Perlbal file's lines begin: its own commands, and those of the plugins that come with it. */
const PERLBAL_LINE =
  /^\s*(?:(?:create|pool|set|default|use|enable|disable|load|server|header|vhost|vpath|access|throttle|redirect|mime|xs)\s+\S|(?:include|affinity_\w+|patterns|perlrequire|perlhandler)\s*=)/i;
/** A key at the beginning of a line, a flow map, a list, or the marks and directives of YAML. */
const YAML_LINE = /^(?:\s*[{[]|["']?[\w.-]+["']?\s*:(?:\s|$)|---(?:\s|$)|%YAML\s|-\s)/;

/** Of the first line that could be either's; null where there is none. */
export function detectKind(text: string): ConvertKind | null {
  for (const line of text.split('\n')) {
    if (/^\s*(?:#|$)/.test(line)) continue;
    if (PERLBAL_LINE.test(line)) return 'perlbal';
    if (YAML_LINE.test(line)) return 'trafficserver';
  }
  return null;
}
