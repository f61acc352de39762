/** The fuzz targets by their names; each is loaded when it is opened. Test support. */

import type { FuzzTarget, TargetName } from './target.ts';

const OPENERS: Readonly<Record<TargetName, () => Promise<FuzzTarget>>> = {
  http: async () => new (await import('./targets/http-target.ts')).HttpTarget(),
  config: async () => new (await import('./targets/config-target.ts')).ConfigTarget(),
  perlbal: async () => new (await import('./targets/convert-target.ts')).ConvertTarget('perlbal'),
  trafficserver: async () => new (await import('./targets/convert-target.ts')).ConvertTarget('trafficserver'),
  hello: async () => new (await import('./targets/hello-target.ts')).HelloTarget(),
  cookie: async () => new (await import('./targets/cookie-target.ts')).CookieTarget(),
  wal: async () => new (await import('./targets/wal-target.ts')).WalTarget(),
  codec: async () => new (await import('./targets/codec-target.ts')).CodecTarget(),
  member: async () => new (await import('./targets/member-target.ts')).MemberTarget(),
  peer: async () => (await import('./targets/peer-target.ts')).openPeerTarget(),
  admin: async () => (await import('./targets/admin-target.ts')).openAdminTarget(),
};

export function openTarget(name: TargetName): Promise<FuzzTarget> {
  return OPENERS[name]();
}
