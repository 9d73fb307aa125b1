// What the views are made of: requests, elements, numbers for people. Whatever the coordinator says becomes a text node.
import { svg } from './chart.js';

const TOKEN = 'cherry-page-token';

export class Refused extends Error {
  constructor(status, body) {
    super(body.message || `HTTP ${status}`);
    this.status = status;
    this.reason = body.reason || '';
    this.remedy = body.remedy || '';
  }
}

export function setToken(token) {
  if (token) sessionStorage.setItem(TOKEN, token);
  else sessionStorage.removeItem(TOKEN);
}

// GET of a path under /api/v1/, with parameters; a list as a value repeats its parameter.
export async function ask(path, parameters = {}) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(parameters)) {
    for (const one of [value].flat()) if (one !== '' && one !== undefined) query.append(key, one);
  }
  const token = sessionStorage.getItem(TOKEN);
  const asked = query.toString();
  const reply = await fetch(`/api/v1/${path}${asked ? `?${asked}` : ''}`, {
    headers: token ? { Authorization: `Bearer ${token}` } : {}, cache: 'no-store', credentials: 'omit',
    referrerPolicy: 'no-referrer', signal: AbortSignal.timeout(15000) });
  const body = await reply.json().catch(() => ({}));
  if (!reply.ok) throw new Refused(reply.status, body);
  return body;
}

// el('td', {class: 'n', title: 'x'}, 'text', node, ...): what is undefined is left out.
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== undefined && child !== null));
  return node;
}

// Exchanges what `node` holds, but only where it looks otherwise than before: focus, selection and open details stay.
export function show(node, ...children) {
  const fresh = el('div', {}, ...children);
  const open = new Set([...node.querySelectorAll('details[open][data-key]')].map((one) => one.dataset.key));
  for (const one of fresh.querySelectorAll('details[data-key]')) one.open = open.has(one.dataset.key);
  patch(node, fresh);
}
function patch(old, fresh) {
  const was = [...old.childNodes], now = [...fresh.childNodes];
  now.forEach((child, i) => {
    const before = was[i];
    if (!before) old.append(child);
    else if (before.isEqualNode(child)) return;
    else if (before.nodeName === child.nodeName && sameAttributes(before, child)) patch(before, child);
    else before.replaceWith(child);
  });
  was.slice(now.length).forEach((child) => child.remove());
}
function sameAttributes(a, b) {
  return a.nodeType === Node.ELEMENT_NODE && a.attributes.length === b.attributes.length &&
    [...a.attributes].every((one) => b.getAttribute(one.name) === one.value);
}

// {namespace, name} of `namespaces/a/jobs/b`.
export function parts(resource) {
  const all = String(resource || '').split('/');
  return { namespace: all[1] || '', name: all[3] || '' };
}
export function jobPath(resource) {
  const { namespace, name } = parts(resource);
  return `${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`;
}
export function shortName(resource) {
  const { namespace, name } = parts(resource);
  return namespace === 'default' ? name : `${namespace}/${name}`;
}
export function jobLink(resource) {
  return el('a', { href: `#/job/${jobPath(resource)}` }, shortName(resource));
}

export function number(value, digits = 4) {
  if (value === undefined || value === null) return '-';
  const parsed = Number(value);
  return Number.isFinite(parsed) ? String(+parsed.toPrecision(digits)) : String(value);
}
export function count(value) {
  const parsed = Number(value || 0);
  if (parsed >= 1e9) return `${+(parsed / 1e9).toPrecision(3)}G`;
  if (parsed >= 1e6) return `${+(parsed / 1e6).toPrecision(3)}M`;
  return parsed >= 1e4 ? `${+(parsed / 1e3).toPrecision(3)}k` : String(+parsed.toPrecision(4));
}
export function duration(seconds) {
  if (!(seconds >= 0)) return '-';
  if (seconds < 120) return `${Math.round(seconds)}s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)}m`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)}h` : `${Math.round(seconds / 86400)}d`;
}
// Since a timestamp, or between two.
export function age(from, to) {
  return from ? duration(Math.max(0, ((to ? Date.parse(to) : Date.now()) - Date.parse(from)) / 1000)) : '-';
}
export function stepOf(job) {
  const progress = job.progress || {};
  const total = progress.total_steps || job.resolved?.train?.steps;
  return progress.step ? `${progress.step}/${total ?? '?'}` : '-';
}
export function labels(map) {
  const pairs = Object.entries(map || {});
  return el('span', { class: 'labels' }, ...pairs.map(([key, value]) => el('span', {}, `${key}=${value}`)));
}
export function state(name) {
  return el('span', { class: `state ${/^[A-Z]+$/.test(name) ? name : ''}` }, name || '-');
}
// rows: lists of [content, class]; on a phone each becomes a card.
export function table(heads, rows) {
  return el('table', { class: 'cards' },
            el('thead', {}, el('tr', {}, ...heads.map(([head, kind]) => el('th', { class: kind, scope: 'col' }, head)))),
            el('tbody', {}, ...rows.map((row) => el('tr', {}, ...row.map((content, i) =>
              el('td', { class: heads[i][1], 'data-label': heads[i][2] ?? heads[i][0] }, content))))));
}
export function list(pairs) {
  return el('dl', {}, ...pairs.flatMap(([name, content]) => [el('dt', {}, name), el('dd', {}, content)]));
}

const CAUSES = [['productive', 2], ['checkpoint', 0], ['restart', 4], ['lost_work', 1], ['idle_allocated', 6]];
// Slot-seconds by what they bought, of one or more `charges`.
export function goodput(charges) {
  const sums = CAUSES.map(([cause, color]) => (
    { cause, color, value: charges.reduce((sum, one) => sum + Number(one?.[cause] || 0), 0) }));
  const all = sums.reduce((sum, one) => sum + one.value, 0);
  if (!(all > 0)) return el('p', { class: 'soft' }, 'No slot-seconds yet: an attempt is charged when it ends.');
  const bar = svg('svg', { viewBox: '0 0 100 4', preserveAspectRatio: 'none', class: 'bar', role: 'img',
                           'aria-label': 'goodput' });
  let at = 0;
  for (const { color, value } of sums) {
    const width = value / all * 100;
    bar.append(svg('rect', { x: at.toFixed(3), y: 0, width: width.toFixed(3), height: 4, class: `c${color}` }));
    at += width;
  }
  return el('div', { class: 'goodput' }, bar, el('ul', { class: 'legend' }, ...sums.map(({ cause, color, value }) =>
    el('li', { class: `c${color}` }, el('i', {}, '■ '),
       el('span', {}, `${cause.replace('_', ' ')} ${count(value)} slot s (${(value / all * 100).toFixed(1)} %)`)))));
}
