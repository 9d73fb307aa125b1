// Charts of curves as SVG. All of it is made of elements and text nodes; nothing is ever parsed.
const NS = 'http://www.w3.org/2000/svg';
const WIDTH = 420, HEIGHT = 240, LEFT = 46, RIGHT = 18, TOP = 10, BOTTOM = 34;
const MOST_POINTS = 240;  // Of a line, drawn.
const MOST_MARKS = 30;    // A line of more points has none.

export function svg(tag, attributes, ...children) {
  const node = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value));
  node.append(...children);
  return node;
}

// At most `most` points [x, y], x ascending: the lowest and the highest of equal stretches and both ends, so that no
// peak is lost.
export function downsample(points, most) {
  if (points.length <= most) return points;
  const first = points[0][0], span = points[points.length - 1][0] - first || 1;
  const stretches = Math.floor((most - 2) / 2);
  const found = new Array(stretches);
  for (const point of points) {
    const at = Math.min(stretches - 1, Math.floor((point[0] - first) / span * stretches));
    const both = found[at];
    if (!both) found[at] = [point, point];
    else if (point[1] < both[0][1]) both[0] = point;
    else if (point[1] > both[1][1]) both[1] = point;
  }
  const out = [points[0]];
  for (const both of found) {
    if (!both) continue;
    for (const point of both[0][0] <= both[1][0] ? both : [both[1], both[0]]) {
      if (point !== out[out.length - 1]) out.push(point);
    }
  }
  const last = points[points.length - 1];
  if (out[out.length - 1] !== last) out.push(last);
  return out;
}

function ticks(low, high, count) {
  const raw = (high - low) / count, power = Math.pow(10, Math.floor(Math.log10(raw)));
  const step = power * ([1, 2, 5].find((factor) => factor * power >= raw) || 10);
  const out = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; ++i) out.push(i * step);
  return { at: out, step };
}

function tickText(value, step) {
  if (Math.abs(value) < step / 1e6) return '0';
  if (step >= 1e6) return `${+(value / 1e6).toPrecision(6)}M`;
  if (step >= 1e3) return `${+(value / 1e3).toPrecision(6)}k`;
  const decimals = Math.max(0, Math.ceil(-Math.log10(step) - 1e-9));
  return decimals > 4 ? value.toPrecision(2) : value.toFixed(decimals);
}

function range(values, share) {
  let low = Infinity, high = -Infinity;
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  const more = high > low ? share * (high - low) : Math.max(0.5 * Math.abs(high), 1e-6);
  return { low: low - more, high: high + more };
}

function axes(x, y, X, Y) {
  const out = [], across = ticks(x.low, x.high, 5), up = ticks(y.low, y.high, 5);
  const label = (text, left, top, anchor) =>
    svg('text', { x: left.toFixed(1), y: top.toFixed(1), 'text-anchor': anchor }, text);
  for (const value of up.at) {
    out.push(svg('line', { x1: LEFT, x2: WIDTH - RIGHT, y1: Y(value), y2: Y(value), class: 'grid' }),
             label(tickText(value, up.step), LEFT - 5, Number(Y(value)) + 4, 'end'));
  }
  for (const value of across.at) {
    out.push(svg('line', { x1: X(value), x2: X(value), y1: HEIGHT - BOTTOM, y2: HEIGHT - BOTTOM + 4, class: 'axis' }),
             label(tickText(value, across.step), Number(X(value)), HEIGHT - BOTTOM + 16, 'middle'));
  }
  out.push(svg('path', { d: `M${LEFT} ${TOP}V${HEIGHT - BOTTOM}H${WIDTH - RIGHT}`, class: 'axis' }),
           label('step', (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, 'middle'));
  return out;
}

// Draws lines [{name, points, color, dashed}] into a figure. Points that are not finite are left out. `data-points` of
// the picture is how many there are.
export function draw(figure, title, lines) {
  const shown = lines.map((line) => ({
    ...line, points: line.points.filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y)) }));
  const all = shown.flatMap((line) => downsample(line.points, MOST_POINTS));
  const caption = document.createElement('figcaption');
  caption.append(title);
  if (all.length === 0) {
    const none = document.createElement('p');
    none.className = 'soft';
    none.append('no points yet');
    figure.replaceChildren(caption, none);
    return;
  }
  const x = range(all.map((point) => point[0]), 0), y = range(all.map((point) => point[1]), 0.05);
  const X = (value) => (LEFT + (value - x.low) / (x.high - x.low) * (WIDTH - LEFT - RIGHT)).toFixed(1);
  const Y = (value) => (HEIGHT - BOTTOM - (value - y.low) / (y.high - y.low) * (HEIGHT - TOP - BOTTOM)).toFixed(1);
  const picture = svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: 'chart', role: 'img',
                               'data-points': shown.reduce((sum, line) => sum + line.points.length, 0) });
  picture.append(svg('title', {}, title), ...axes(x, y, X, Y));
  const legend = document.createElement('ul');
  legend.className = 'legend';
  for (const line of shown) {
    const points = downsample(line.points, MOST_POINTS), color = `c${line.color % 8}`;
    picture.append(svg('polyline', { points: points.map(([px, py]) => `${X(px)},${Y(py)}`).join(' '),
                                     class: `${color}${line.dashed ? ' dashed' : ''}` }));
    if (points.length <= MOST_MARKS) {
      for (const [px, py] of points) picture.append(svg('circle', { cx: X(px), cy: Y(py), r: 2.2, class: `${color} mark` }));
    }
    const item = document.createElement('li'), mark = document.createElement('i'), name = document.createElement('span');
    item.className = color;
    mark.append(line.dashed ? '┄ ' : '━ ');
    name.append(line.name);
    item.append(mark, name);
    legend.append(item);
  }
  figure.replaceChildren(caption, picture, legend);
}
