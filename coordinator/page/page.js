// Which view is open, and its refreshing while somebody looks.
import { ask, el, setToken, age, Refused } from './parts.js';
import { compareView, jobView } from './job.js';
import { jobsView, workersView } from './views.js';

const PERIOD = 2000;       // Milliseconds between refreshes.
const SLOW_PERIOD = 10000;  // While the coordinator does not answer.

const view = document.getElementById('view');
const trouble = document.getElementById('trouble');
const door = document.getElementById('door');
let generation = 0;  // What an older one still waits for is dropped.
let timer = 0;

// A view builds itself in a node of its own and returns what refreshes it.
function open(hash) {
  const [path, query] = hash.replace(/^#\/?/, '').split('?');
  const words = path.split('/').map((word) => { try { return decodeURIComponent(word); } catch { return word; } });
  const node = el('div', {});
  view.replaceChildren(node);
  if (words[0] === 'job' && words.length === 3) return jobView(node, words[1], words[2]);
  if (words[0] === 'compare') return compareView(node, new URLSearchParams(query).getAll('job'));
  if (words[0] === 'workers') return workersView(node);
  return jobsView(node);
}

async function refreshServer() {
  const info = await ask('server');
  document.getElementById('server').textContent =
    `${info.version}, up ${age(info.start_time)}, ${info.jobs || 0} jobs, ${info.workers || 0} workers`;
}

function tell(error) {
  const locked = error instanceof Refused && error.status === 401;
  door.hidden = !locked;
  trouble.hidden = false;
  if (error instanceof Refused) trouble.textContent = error.remedy ? `${error.message}: ${error.remedy}` : error.message;
  else trouble.textContent = 'The coordinator does not answer; what is shown may be old.';
  return locked;
}

function start() {
  const mine = ++generation;
  clearTimeout(timer);
  const refresh = open(location.hash);
  let around = 0;
  const step = async () => {
    let wait = PERIOD;
    try {
      if (!document.hidden) {
        if (around++ % 5 === 0) await refreshServer();
        await refresh();
        if (mine !== generation) return;
        trouble.hidden = door.hidden = true;
      }
    } catch (error) {
      if (mine !== generation) return;
      if (tell(error)) return;  // Until a token is given.
      if (!(error instanceof Refused)) wait = SLOW_PERIOD;
    }
    timer = setTimeout(step, wait);
  };
  step();
}

door.addEventListener('submit', (event) => {
  event.preventDefault();
  const field = document.getElementById('token');
  setToken(field.value.trim());
  field.value = '';
  start();
});
addEventListener('hashchange', start);
start();
