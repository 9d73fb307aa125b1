// One job with its live curves, and several beside each other.
import { draw } from './chart.js';
import {
  age, ask, count, duration, el, goodput, jobLink, labels, list, number, shortName, show, state, stepOf, table,
} from './parts.js';
import { reasons } from './views.js';

const MOST_KEPT = 20000;  // Points of a series; then the older half is thinned.

// The series of one job, kept and extended: only what is new is asked for. A new attempt may go back in steps, so that
// begins anew.
class Curves {
  constructor(path) {
    this.path = path;
    this.epoch = '';
    this.series = new Map();
  }
  begin(job) {
    const epoch = `${job.uid}/${job.epoch || 0}`;
    if (epoch !== this.epoch) this.series.clear();
    this.epoch = epoch;
  }
  async names() {
    const newest = await ask(`jobs/${this.path}/metrics/newest`);
    return (newest.samples || []).map(({ name, value }) => ({ name, value: Number(value || 0) }));
  }
  async extend(name) {
    let points = this.series.get(name) || [];
    const after = points.length ? points[points.length - 1][0] : -1;
    let token = '';
    do {
      const asked = { metric: name, after_step: after, page_size: 5000, page_token: token };
      const reply = await ask(`jobs/${this.path}/metrics`, asked);
      for (const sample of reply.samples || []) points.push([Number(sample.step || 0), Number(sample.value || 0)]);
      token = reply.next_page_token || '';
    } while (token);
    if (points.length > MOST_KEPT) points = points.filter((_, i) => i % 2 === 0 || i > points.length / 2);
    this.series.set(name, points);
    return points;
  }
}

const groupOf = (name) => name.split('/')[0];
function options(select, names) {
  const before = select.value, now = [...select.options].map((one) => one.value);
  if (names.join('\n') === now.join('\n')) return;
  select.replaceChildren(...names.map((name) => el('option', { value: name }, name)));
  if (names.includes(before)) select.value = before;
}

function essentials(job) {
  const progress = job.progress || {}, spec = job.resolved || {};
  return list([
    ['State', el('span', {}, state(job.state), ` ${job.reason || ''}`)],
    ['Kind', String(spec.kind || '-').toLowerCase()],
    ['Step', stepOf(job)],
    ['Loss', `${number(progress.loss)}, valid ${number(progress.valid_loss)}, best ${number(progress.best_valid_loss)}`],
    ['Speed', progress.tokens_per_second ?
      `${count(progress.tokens_per_second)} tokens/s, ${duration(parseFloat(progress.eta))} to go` : '-'],
    ['Age', `${age(job.create_time)}, ran ${age(job.start_time, job.end_time)}`],
    ['Parameters', count(job.plan?.parameters)],
    ['Submitted by', job.submitter || '-'],
    ['Pipeline', job.pipeline || '-'],
    ['Labels', labels(spec.labels)]]);
}

function attempts(job) {
  const heads = [['Attempt', 'n'], ['State'], ['Cause'], ['Steps', 'n'], ['On'], ['Message', '', '']];
  return table(heads, (job.attempts || []).map((one) => [
    String(one.epoch || 0), one.state || '-', String(one.cause || '-').replace('CAUSE_', '').toLowerCase(),
    `${one.start_step || 0} to ${one.last_step || 0}`,
    [...new Set((one.ranks || []).map((rank) => rank.worker))].join(', '), one.failure?.message || '']));
}

function saved(checkpoints) {
  return table([['Step', 'n'], ['State'], ['Valid loss', 'n'], ['Size', 'n'], ['', '', '']], checkpoints.map((one) => [
    String(one.step || 0), String(one.state).toLowerCase(), number(one.valid_loss), `${count(one.bytes)}B`,
    [one.best ? 'best' : '', one.pinned ? 'pinned' : ''].filter(Boolean).join(', ')]));
}

function timeline(events) {
  return table([['Time', 'n'], ['Event'], ['Actor'], ['Message', '', '']], events.map((one) => [
    `${age(one.time)} ago`, `${one.type || ''}${one.to_state ? ` → ${one.to_state}` : ''}`, one.actor || '',
    one.message || '']));
}

export function jobView(node, namespace, name) {
  const path = `${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`;
  const curves = new Curves(path);
  const head = el('div', { id: 'job' }), why = el('div', { id: 'why' }), rest = el('div', { id: 'rest' });
  const loss = el('figure', { id: 'loss' }), other = el('figure', { id: 'other' });
  const select = el('select', { name: 'series', 'aria-label': 'other series' });
  node.append(el('h2', {}, shortName(`namespaces/${namespace}/jobs/${name}`)), head, why, el('h2', {}, 'Curves'),
              el('div', { class: 'tools' }, 'Beside the loss ', select), el('div', { class: 'charts' }, loss, other), rest);
  const chart = async (figure, group, names) => {
    const lines = [];
    for (const [i, one] of names.filter((each) => groupOf(each) === group).slice(0, 8).entries()) {
      lines.push({ name: one, points: await curves.extend(one), color: i, dashed: one.includes('valid') });
    }
    draw(figure, group, lines);
  };
  return async () => {
    const [job, explained, checkpoints] = await Promise.all([
      ask(`jobs/${path}`), ask(`jobs/${path}/explain`), ask(`jobs/${path}/checkpoints`, { page_size: 100 })]);
    curves.begin(job);
    const names = (await curves.names()).map((sample) => sample.name);
    show(head, essentials(job));
    const place = explained.queue_position ? `Place ${explained.queue_position} in the queue.` : 'Not in the queue yet.';
    const waits = [el('h2', {}, 'Why it waits'), el('p', {}, place), reasons(explained)];
    show(why, ...(job.state === 'PENDING' ? waits : []));
    const groups = [...new Set(names.map(groupOf))].filter((group) => group !== 'loss');
    options(select, groups);
    await chart(loss, 'loss', names);
    if (select.value) await chart(other, select.value, names);
    show(rest, el('h2', {}, 'Goodput'), goodput([job.charges]), el('h2', {}, 'Attempts'), attempts(job),
         el('h2', {}, 'Checkpoints'), saved(checkpoints.checkpoints || []),
         el('h2', {}, 'Last events'), timeline(explained.recent_events || []),
         el('details', { 'data-key': 'spec' }, el('summary', {}, 'Spec, with every default'),
            el('pre', {}, JSON.stringify(job.resolved, null, 1))));
  };
}

// {'train.steps': 300, ...}
export function flatten(value, path = '', out = {}) {
  if (value === null || typeof value !== 'object') {
    out[path] = value;
    return out;
  }
  for (const [key, one] of Object.entries(value)) {
    const below = Array.isArray(value) ? `${path}[${key}]` : path ? `${path}.${key}` : key;
    flatten(one, below, out);
  }
  return out;
}

function sideBySide(heads, rows) {
  return el('div', { class: 'scroll' }, el('table', {},
    el('thead', {}, el('tr', {}, el('th', { scope: 'col' }, ''),
      ...heads.map((one) => el('th', { scope: 'col' }, jobLink(one))))),
    el('tbody', {}, ...rows.map(([name, ...values]) => el('tr', {}, el('th', { scope: 'row' }, name),
      ...values.map((one) => el('td', { class: 'n' }, one)))))));
}

function differences(jobs) {
  const specs = jobs.map((job) => flatten(job.resolved || {}));
  const fields = [...new Set(specs.flatMap((spec) => Object.keys(spec)))].filter((field) => field !== 'name').sort();
  const text = (value) => (value === undefined ? '-' : String(value));
  return fields.map((field) => [field, ...specs.map((spec) => text(spec[field]))])
    .filter(([, first, ...others]) => others.some((one) => one !== first));
}

export function compareView(node, names) {
  const given = names.filter((one) => one.split('/').length === 2).slice(0, 8);
  const all = given.map((one) => new Curves(one.split('/').map(encodeURIComponent).join('/')));
  const figure = el('figure', { id: 'overlay' });
  const final = el('div', { id: 'final' }), fields = el('div', { id: 'fields' });
  const select = el('select', { name: 'series', 'aria-label': 'series' });
  node.append(el('h2', {}, 'Compare'), el('div', { class: 'tools' }, 'Series ', select), figure,
              el('h2', {}, 'Newest values'), final, el('h2', {}, 'Fields that differ'), fields);
  return async () => {
    const jobs = await Promise.all(all.map((one) => ask(`jobs/${one.path}`)));
    const newest = await Promise.all(all.map(async (one, i) => {
      one.begin(jobs[i]);
      return Object.fromEntries((await one.names()).map((sample) => [sample.name, sample.value]));
    }));
    const series = [...new Set(newest.flatMap((one) => Object.keys(one)))].sort();
    const first = select.options.length === 0;
    options(select, series);
    if (first && series.includes('loss/valid')) select.value = 'loss/valid';
    const lines = [];
    for (const [i, one] of all.entries()) {
      if (!(select.value in newest[i])) continue;
      lines.push({ name: shortName(jobs[i].name), points: await one.extend(select.value), color: i });
    }
    draw(figure, select.value || 'loss', lines);
    const heads = jobs.map((job) => job.name);
    show(final, sideBySide(heads, [
      ['state', ...jobs.map((job) => job.state)], ['step', ...jobs.map(stepOf)],
      ['best valid loss', ...jobs.map((job) => number(job.progress?.best_valid_loss))],
      ...series.map((name) => [name, ...newest.map((one) => number(one[name]))])]));
    const rows = differences(jobs);
    show(fields, rows.length ? sideBySide(heads, rows) : el('p', { class: 'soft' }, 'None but the name.'));
  };
}
