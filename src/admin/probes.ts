/** What load balancers ask the admin API, over and over: nothing else is to be loaded for knowing it. Main thread. */

export const HEALTHZ = '/healthz';
export const READYZ = '/readyz';

/** Whether `url` is answered at once, and asked for by whoever sends clients here. */
export function isProbe(url: string): boolean {
  const path = pathOf(url);
  return path === HEALTHZ || path === READYZ;
}

/** Without the query. */
export function pathOf(url: string): string {
  return url.split('?', 1)[0] ?? '';
}
