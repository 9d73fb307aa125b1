// The jobs with their queue, and the workers.
import {
  age, ask, count, el, goodput, jobLink, jobPath, labels, number, parts, shortName, show, state, stepOf, table,
} from './parts.js';

const STATES = ['PENDING', 'STARTING', 'RUNNING', 'PAUSED', 'BACKOFF', 'SUCCEEDED', 'FAILED', 'CANCELLED'];
const PAGE = 50;
const MOST_WAITING = 20;   // Of the queue, explained.
const MOST_COMPARED = 8;
const JOB_HEADS = [['Name', 'name', ''], ['Kind', 'w'], ['State'], ['Step', 'n'], ['Loss', 'n'], ['Valid', 'n'], ['Age', 'n'],
                   ['Reason', '', '']];

export function reasons(explained) {
  return el('ul', {},
            ...(explained.reasons || []).map((one) => el('li', {},
              `${String(one.tier || '').toLowerCase()}: ${one.message || ''}`,
              one.remedy ? el('span', { class: 'soft' }, ` It needs ${one.remedy}.`) : undefined)),
            ...(explained.would_start || []).map((one) => el('li', { class: 'soft' }, `It would start: ${one}`)));
}

async function queue() {
  const waiting = await ask('jobs', { states: 'PENDING', page_size: MOST_WAITING });
  const explained = await Promise.all((waiting.jobs || []).map(async (job) =>
    ({ job, why: await ask(`jobs/${jobPath(job.name)}/explain`).catch(() => ({})) })));
  const order = (one) => one.why.queue_position || Infinity;
  explained.sort((a, b) => order(a) - order(b));
  return { explained, more: Boolean(waiting.next_page_token) };
}

function queueSection({ explained, more }) {
  if (explained.length === 0) return [el('p', { class: 'soft' }, 'No job waits.')];
  return [
    el('ol', { class: 'queue' }, ...explained.map(({ job, why }) => el('li', {},
      el('strong', {}, why.queue_position ? `${why.queue_position}. ` : ''), jobLink(job.name),
      el('span', { class: 'soft' }, ` waits for ${age(job.create_time)}`), reasons(why)))),
    more ? el('p', { class: 'soft' }, `These are the newest ${MOST_WAITING} of the jobs that wait.`) : undefined];
}

function jobRow(job, chosen) {
  const label = `compare ${shortName(job.name)}`;
  const box = el('input', { type: 'checkbox', name: 'compare', value: job.name, 'aria-label': label });
  box.checked = chosen.has(job.name);
  const progress = job.progress || {};
  return [
    el('span', {}, el('label', {}, box), ' ', jobLink(job.name), ' ', labels(job.resolved?.labels)),
    String(job.resolved?.kind || '-').toLowerCase(), state(job.state), stepOf(job), number(progress.loss),
    number(progress.valid_loss), age(job.create_time), job.reason || ''];
}

export function jobsView(node) {
  const chosen = new Set();
  let token = '';
  const filter = el('select', { name: 'state', 'aria-label': 'state' }, el('option', { value: '' }, 'all states'),
                    ...STATES.map((one) => el('option', {}, one)));
  const compare = el('button', { type: 'button', id: 'compare' }, 'Compare');
  const older = el('button', { type: 'button', hidden: '' }, 'Older');
  const newest = el('button', { type: 'button', hidden: '' }, 'Newest');
  const rows = el('div', { id: 'jobs' }), waits = el('div', { id: 'queue' }), charges = el('div', { id: 'goodput' });
  node.append(el('h2', {}, 'Jobs'), el('div', { class: 'tools' }, filter, compare, newest, older), rows,
              el('h2', {}, 'Queue'), waits, el('h2', {}, 'Goodput of the jobs above'), charges);
  let next = '';
  const label = () => {
    compare.textContent = chosen.size ? `Compare ${chosen.size}` : 'Compare';
    compare.disabled = chosen.size < 2;
  };
  rows.addEventListener('change', ({ target }) => {
    if (target.checked && chosen.size < MOST_COMPARED) chosen.add(target.value);
    else chosen.delete(target.value);
    target.checked = chosen.has(target.value);
    label();
  });
  compare.addEventListener('click', () => {
    const query = new URLSearchParams([...chosen].map((name) => ['job', `${parts(name).namespace}/${parts(name).name}`]));
    location.hash = `#/compare?${query}`;
  });
  const refresh = async () => {
    const asked = { filter: filter.value, token };
    const [reply, waiting] = await Promise.all([
      ask('jobs', { states: asked.filter, page_size: PAGE, page_token: asked.token }), queue()]);
    if (asked.filter !== filter.value || asked.token !== token) return;  // Asked for something else meanwhile.
    next = reply.next_page_token || '';
    older.hidden = !next;
    newest.hidden = !token;
    const jobs = reply.jobs || [];
    show(rows, jobs.length === 0 ? el('p', { class: 'soft' }, 'No job here: cherry submit FILE starts one.') :
      table(JOB_HEADS, jobs.map((job) => jobRow(job, chosen))));
    show(waits, ...queueSection(waiting));
    show(charges, goodput(jobs.map((job) => job.charges)));
  };
  const now = () => refresh().catch(() => {});  // The next round tells.
  filter.addEventListener('change', () => { token = ''; now(); });
  older.addEventListener('click', () => { token = next; now(); });
  newest.addEventListener('click', () => { token = ''; now(); });
  label();
  return refresh;
}

function slot(one) {
  const device = one.gpu_name || String(one.device || 'CPU').toLowerCase();
  return el('li', { class: one.job ? 'busy' : 'free' }, `${one.index || 0}: ${device} `,
            one.job ? jobLink(one.job) : el('span', { class: 'soft' }, 'free'));
}

function workerCard(worker) {
  const slots = worker.slots || [], busy = slots.filter((one) => one.job).length;
  return el('section', { class: 'worker' },
            el('h3', {}, `${worker.name} `, state(worker.state), ` ${busy} of ${slots.length} slots used`),
            el('p', { class: 'soft' }, `${worker.address || '-'}, version ${worker.version || '-'}, `,
               `seen ${age(worker.last_seen_time)} ago`,
               worker.recent_failures ? `, ${worker.recent_failures} failures in the last hour` : ''),
            labels(worker.labels), el('ul', { class: 'slots' }, ...slots.map(slot)),
            ...(worker.roots || []).map((root) => el('p', { class: 'soft' },
              `${root.kind}: ${count(root.free_bytes)}B free of ${count(root.size_bytes)}B`)));
}

export function workersView(node) {
  const rows = el('div', { id: 'workers' });
  node.append(el('h2', {}, 'Workers'), rows);
  return async () => {
    const workers = [];
    let token = '';
    do {
      const reply = await ask('workers', { page_size: 200, page_token: token });
      workers.push(...(reply.workers || []));
      token = reply.next_page_token || '';
    } while (token && workers.length < 1000);
    const slots = workers.flatMap((worker) => worker.slots || []);
    const busy = slots.filter((one) => one.job).length;
    show(rows, el('p', {}, `${workers.length} workers, ${busy} of ${slots.length} slots used`),
         ...workers.map(workerCard));
  };
}
