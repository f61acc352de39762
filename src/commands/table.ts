/** Main thread of a command. */

/** Lines with columns as wide as their widest cell; every row has as many cells as the first. Numbers stand on the right. */
export function table(rows: readonly (readonly string[])[], numbers: readonly number[] = []): string[] {
  const widths = (rows[0] ?? []).map((_, column) =>
    rows.reduce((most, row) => Math.max(most, row[column]?.length ?? 0), 0),
  );
  const padded = (cell: string, column: number) =>
    numbers.includes(column) ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0);
  return rows.map((row) => row.map(padded).join('  ').trimEnd());
}
