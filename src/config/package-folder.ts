/** Main thread. */

/** The folder of the package that this program is part of, from the sources as from the build in dist/. */
export const PACKAGE = new URL(import.meta.url.endsWith('.ts') ? '../../' : '../../../', import.meta.url);
