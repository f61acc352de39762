/** config/grafana/stekbal.json: a dashboard that Grafana can load, whose queries Prometheus can read. */

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../e2e/harness.ts';
import { hasPromtool, promtool } from './promtool.ts';

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly datasource?: unknown;
  readonly targets?: readonly { readonly refId: string; readonly expr: string; readonly datasource: unknown }[];
}

interface Dashboard {
  readonly schemaVersion: number;
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { readonly name: string }[] };
}

const FILE = new URL('../../config/grafana/stekbal.json', import.meta.url);
const { schemaVersion, panels, templating } = JSON.parse(readFileSync(FILE, 'utf8')) as Dashboard;
// biome-ignore lint/suspicious/noTemplateCurlyInString: Grafana's own way to name a variable
const ANY_PROMETHEUS = { type: 'prometheus', uid: '${datasource}' };

test('panels have ids of their own and do not lie over one another', () => {
  assert.ok(schemaVersion >= 38, 'Grafana 10');
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
  const taken = new Map<string, string>();
  for (const {
    title,
    gridPos: { x, y, w, h },
  } of panels) {
    assert.ok(x >= 0 && x + w <= 24, title);
    for (let column = x; column < x + w; column++) {
      for (let line = y; line < y + h; line++) {
        assert.equal(taken.get(`${column},${line}`), undefined, title);
        taken.set(`${column},${line}`, title);
      }
    }
  }
});

test('every panel asks the data source that was chosen, within the variables that there are', () => {
  const names = templating.list.map(({ name }) => name);
  for (const { type, title, datasource, targets = [] } of panels) {
    if (type === 'row') continue;
    assert.deepEqual(datasource, ANY_PROMETHEUS, title);
    assert.ok(targets.length > 0, title);
    for (const { expr, datasource: own } of targets) {
      assert.deepEqual(own, ANY_PROMETHEUS, title);
      const used = (expr.match(/\$\w+/g) ?? []).map((name) => name.slice(1));
      for (const name of used) assert.ok([...names, '__rate_interval'].includes(name), `${title}: $${name}`);
      assert.ok(used.includes('job'), `${title} is about the edges alone`);
    }
  }
});

test('promtool can read every query', (t) => {
  if (!hasPromtool(t)) return;
  const queries = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
  const rules = queries.map((expr, i) => ({ record: `query_${i}`, expr: expr.replaceAll('$__rate_interval', '1m') }));
  const file = join(temporaryFolder(t), 'queries.json');
  writeFileSync(file, JSON.stringify({ groups: [{ name: 'dashboard', rules }] }));
  promtool(['check', 'rules', file]);
});
