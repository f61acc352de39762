/** Asks this edge's admin API, with the token where there is one. In the browser. */

const TOKEN_KEY = 'stekbal-token';
const TIMEOUT_MS = 15_000;

/** The edge refused; the message is its own. */
export class Refused extends Error {
  /**
   * @param {number} status
   * @param {string} message
   */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** @param {string} token Kept in this tab alone. */
export function keepToken(token) {
  sessionStorage.setItem(TOKEN_KEY, token);
}

export function hasToken() {
  return sessionStorage.getItem(TOKEN_KEY) !== null;
}

/**
 * Rejects with a Refused, or with what fetch() rejects with.
 * @param {string} path
 * @param {RequestInit} options
 * @returns {Promise<Response>}
 */
export async function ask(path, options = {}) {
  const headers = new Headers(options.headers);
  const token = sessionStorage.getItem(TOKEN_KEY);
  // what no header can carry is no token: the edge says so
  if (token !== null && /^[!-~]+$/.test(token)) headers.set('authorization', `Bearer ${token}`);
  const response = await fetch(path, { ...options, headers, cache: 'no-store', redirect: 'error' });
  if (response.ok) return response;
  throw new Refused(response.status, await messageOf(response));
}

/**
 * Changes something. Rejects with an Error whose message is for the operator.
 * @param {'POST' | 'PATCH'} method
 * @param {string} path
 * @param {object} [body]
 */
export async function change(method, path, body) {
  /** @type {RequestInit} */
  const options = { method, signal: AbortSignal.timeout(TIMEOUT_MS) };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers = { 'content-type': 'application/json' };
  }
  try {
    await ask(path, options);
  } catch (error) {
    if (error instanceof Refused) throw error;
    throw new Error('No answer from this edge. Whether it was done is not known: look before you try again.');
  }
}

/** @param {Response} response */
async function messageOf(response) {
  try {
    const { message } = await response.json();
    if (typeof message === 'string') return message;
  } catch {
    // not from the admin API
  }
  return `it answered ${response.status}`;
}
