/**
 * A session ticket encryption key (STEK): 48 bytes, with which session tickets are encrypted and authenticated
 * (RFC 5077 section 4; AES-128-CBC and HMAC-SHA256). Pure; both sides of the thread boundary know its layout.
 *
 *   0   name  16   which key a ticket was made with; it stands in the ticket in clear
 *   16  hmac  16
 *   32  aes   16
 *
 * This is the order of Node and Traffic Server. nginx and HAProxy write aes before hmac: export-formats.ts.
 */

export const TICKET_KEY_BYTES = 48;
export const NAME_BYTES = 16;

/** Exactly TICKET_KEY_BYTES long. A secret, but for its name. */
export type TicketKey = Uint8Array;

/** The parts of a key, as views. */
export function partsOf(key: TicketKey): { name: Uint8Array; hmac: Uint8Array; aes: Uint8Array } {
  return { name: key.subarray(0, 16), hmac: key.subarray(16, 32), aes: key.subarray(32, 48) };
}

/** What a key is called wherever people see it: the first 8 hex digits of its name. */
export function keyId(key: TicketKey): string {
  return hexOf(key.subarray(0, 4));
}

/** The whole name in hex: for telling keys apart. */
export function nameOf(key: TicketKey): string {
  return hexOf(key.subarray(0, NAME_BYTES));
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
}
