// The report of a drill as one page that needs nothing else: the timeline drawn, the steps, the figures, every line that was printed.
import { inSeconds } from './durations.ts';
import { describeFigures } from './figures.ts';
import { laneGroups, type Lane, type LaneGroup } from './lanes.ts';
import type { DrillReport, StepReport } from './report.ts';
import type { Tone } from './timeline.ts';

const LABEL_WIDTH = 230;
const PLOT_WIDTH = 1130;
const RIGHT = 16;
const LANE_HEIGHT = 22;
const BAR_HEIGHT = 16;
const GROUP_HEAD = 24;
const AXIS_HEIGHT = 26;
/** A letter of the labels is about so wide. */
const LETTER_WIDTH = 6.2;
const NICE_STEPS_S = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200];
const MAX_TICKS = 14;

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

const STYLE = `
:root { color-scheme: light dark; --ground: #fff; --ink: #1d2430; --faint: #667085; --line: #d9dee7; --band: #f4f6f9; --good: #2e9e62; --bad: #d64545; --waiting: #e0a100; --plain: #8a94a6; --onbar: #fff; }
@media (prefers-color-scheme: dark) { :root { --ground: #12161d; --ink: #e4e8ef; --faint: #97a1b3; --line: #2b3340; --band: #1a2029; --good: #3fae74; --bad: #e26060; --waiting: #d9a520; --plain: #6d7789; --onbar: #0c0f14; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 28px 24px 60px; max-width: 1440px; background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 24px; line-height: 1.25; margin: 0 0 6px; } h2 { font-size: 17px; margin: 32px 0 10px; }
.facts { color: var(--faint); margin: 0 0 14px; } .facts b { color: var(--ink); font-weight: 600; }
.badge { display: inline-block; padding: 1px 10px; border-radius: 10px; color: var(--onbar); background: var(--plain); font-weight: 600; }
.passed, .done { --tone: var(--good); } .failed, .error { --tone: var(--bad); } .skipped, .interrupted { --tone: var(--waiting); }
.badge.passed, .badge.failed, .badge.error, .badge.skipped, .badge.interrupted { background: var(--tone); }
.problem { border-left: 4px solid var(--bad); background: var(--band); padding: 8px 14px; margin: 12px 0; overflow-wrap: anywhere; }
.about { max-width: 80ch; white-space: pre-line; }
.drawing { overflow-x: auto; border: 1px solid var(--line); border-radius: 6px; padding: 8px; }
svg { display: block; min-width: 900px; width: 100%; height: auto; font: 12px system-ui, sans-serif; }
svg text { fill: var(--ink); } svg .head { fill: var(--faint); font-weight: 600; } svg .tick { fill: var(--faint); } svg .onbar { fill: var(--onbar); pointer-events: none; }
svg .grid { stroke: var(--line); stroke-width: 1; } svg .band { fill: var(--band); } svg .shade { fill: var(--bad); opacity: .09; }
.good { fill: var(--good); } .bad { fill: var(--bad); } .waiting { fill: var(--waiting); } .plain { fill: var(--plain); }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; vertical-align: top; padding: 4px 12px 4px 0; border-bottom: 1px solid var(--line); } th { color: var(--faint); font-weight: 600; }
td { overflow-wrap: anywhere; } td.time { white-space: nowrap; font-variant-numeric: tabular-nums; color: var(--faint); } td.status { white-space: nowrap; font-weight: 600; color: var(--tone, var(--faint)); }
.log td { font-size: 13px; padding-top: 1px; padding-bottom: 1px; border-bottom: 0; } .log .fault td, .log .missed td { color: var(--bad); } .log .heal td { color: var(--good); } .log .step td { font-weight: 600; padding-top: 8px; }
summary { cursor: pointer; font-size: 17px; font-weight: 600; margin: 32px 0 10px; }
.legend { color: var(--faint); font-size: 13px; margin: 8px 0 0; } .legend i { display: inline-block; width: 11px; height: 11px; border-radius: 2px; margin: 0 4px 0 14px; vertical-align: -1px; }
`;

export function pageOf(report: DrillReport): string {
  const { drill, title, description, status, problem, isWithoutFault, startedAt, durationMs, cluster, steps, clients, timeline, droppedEntries } = report;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(drill)}: ${status}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escaped(title)}</h1>
<p class="facts"><span class="badge ${status}">${status}</span> <b>${escaped(drill)}</b>${isWithoutFault ? ', without its fault' : ''} · ${escaped(startedAt.replace('T', ' ').slice(0, 19))} UTC · ${inSeconds(durationMs)} · ${escaped(cluster.mode)}: ${escaped(cluster.hosts.join(', '))}${cluster.isFast === true ? ' · fast failure detection' : ''}</p>
${problem === undefined ? '' : `<p class="problem">${escaped(problem)}</p>\n`}<p class="about">${escaped(joinedLines(description))}</p>
<h2>What happened when</h2>
<div class="drawing">
${drawing(laneGroups(report), durationMs)}
</div>
<p class="legend"><i style="background:var(--good)"></i>well<i style="background:var(--waiting)"></i>on its way<i style="background:var(--bad)"></i>broken, or says so<i style="background:var(--plain)"></i>other; small marks are events. Point at anything to read it.</p>
<h2>Steps</h2>
<table>
<tr><th></th><th>step</th><th>from</th><th>took</th><th></th><th>seen</th></tr>
${steps.map(stepRow).join('\n')}
</table>
${clients.length === 0 ? '' : `<h2>Clients</h2>
<table>
<tr><th>client</th><th></th><th>figures</th></tr>
${clients.map(({ name, what, figures }) => `<tr><td>${escaped(name)}</td><td>${escaped(what)}</td><td>${escaped(describeFigures(figures))}</td></tr>`).join('\n')}
</table>
`}<details open><summary>Line by line</summary>
<table class="log">
${timeline.filter(({ isInitial }) => isInitial !== true).map(({ atMs, kind, lane, text }) => `<tr class="${kind}"><td class="time">${(atMs / 1000).toFixed(1)} s</td><td>${kind === 'step' ? '' : escaped(lane === 'steps' ? '' : lane)}</td><td>${kind === 'fault' ? 'BROKEN: ' : kind === 'heal' ? 'mended: ' : kind === 'missed' ? 'NOT SO: ' : ''}${escaped(text)}</td></tr>`).join('\n')}
</table>${droppedEntries > 0 ? `\n<p class="facts">${droppedEntries} more lines were left out.</p>` : ''}
</details>
</body>
</html>
`;
}

/** Lines of a description are broken for the file; paragraphs are not. */
const joinedLines = (text: string): string => text.trim().split(/\n{2,}/).map((paragraph) => paragraph.replaceAll('\n', ' ')).join('\n\n');

function stepRow({ number, text, status, startMs, endMs, detail = '' }: StepReport): string {
  const took = startMs === undefined || endMs === undefined ? '' : inSeconds(endMs - startMs);
  return `<tr><td class="time">${number}</td><td>${escaped(text)}</td><td class="time">${startMs === undefined ? '' : `${(startMs / 1000).toFixed(1)} s`}</td><td class="time">${took}</td><td class="status ${status}">${status}</td><td>${escaped(detail)}</td></tr>`;
}

function drawing(groups: readonly LaneGroup[], durationMs: number): string {
  const x = (ms: number): number => LABEL_WIDTH + (Math.max(0, Math.min(ms, durationMs)) / Math.max(durationMs, 1)) * PLOT_WIDTH;
  const rows: string[] = [];
  let y = AXIS_HEIGHT;
  for (const { name, lanes } of groups) {
    rows.push(`<text class="head" x="4" y="${y + 16}">${escaped(name)}</text>`);
    y += GROUP_HEAD;
    for (const [index, lane] of lanes.entries()) {
      if (index % 2 === 0) rows.push(`<rect class="band" x="0" y="${y}" width="${LABEL_WIDTH + PLOT_WIDTH + RIGHT}" height="${LANE_HEIGHT}"/>`);
      rows.push(laneDrawing(lane, y, x));
      y += LANE_HEIGHT;
    }
  }
  const height = y + 6;
  const stepS = NICE_STEPS_S.find((step) => durationMs / 1000 / step <= MAX_TICKS) ?? 1800;
  const ticks: string[] = [];
  for (let at = 0; at * 1000 <= durationMs; at += stepS) ticks.push(`<line class="grid" x1="${f(x(at * 1000))}" x2="${f(x(at * 1000))}" y1="${AXIS_HEIGHT - 4}" y2="${height}"/><text class="tick" x="${f(x(at * 1000))}" y="14" text-anchor="middle">${at} s</text>`);
  // While something is broken the whole height is tinted: what happened then stands in it.
  const shades = groups.filter(({ name }) => name === 'broken').flatMap(({ lanes }) => lanes.flatMap(({ spans }) => spans))
    .map(({ fromMs, toMs }) => `<rect class="shade" x="${f(x(fromMs))}" y="${AXIS_HEIGHT}" width="${f(Math.max(1, x(toMs) - x(fromMs)))}" height="${height - AXIS_HEIGHT}"/>`);
  return `<svg viewBox="0 0 ${LABEL_WIDTH + PLOT_WIDTH + RIGHT} ${height}" role="img" aria-label="timeline">
${[...rows.filter((row) => row.startsWith('<rect class="band"')), ...ticks, ...shades, ...rows.filter((row) => !row.startsWith('<rect class="band"'))].join('\n')}
</svg>`;
}

const f = (number: number): string => number.toFixed(1);
const SHORTEN = Math.floor((LABEL_WIDTH - 14) / LETTER_WIDTH);
const cut = (text: string, letters: number): string => (text.length <= letters ? text : letters < 3 ? '' : `${text.slice(0, letters - 1)}…`);

function laneDrawing({ name, spans, moments }: Lane, y: number, x: (ms: number) => number): string {
  const top = y + (LANE_HEIGHT - BAR_HEIGHT) / 2;
  const baseline = y + LANE_HEIGHT / 2 + 4;
  const bars = spans.map(({ fromMs, toMs, label, text, tone }) => {
    const width = Math.max(1.5, x(toMs) - x(fromMs) - 0.5);
    const shown = cut(label, Math.floor((width - 6) / LETTER_WIDTH));
    return `<rect class="${tone}" x="${f(x(fromMs))}" y="${top}" width="${f(width)}" height="${BAR_HEIGHT}" rx="2"><title>${escaped(`${(fromMs / 1000).toFixed(1)} s to ${(toMs / 1000).toFixed(1)} s: ${text}`)}</title></rect>${shown === '' || /^…?$/.test(shown) ? '' : `<text class="onbar" x="${f(x(fromMs) + 4)}" y="${baseline}">${escaped(shown)}</text>`}`;
  });
  const marks = moments.map(({ atMs, text, tone }) => mark(x(atMs), y, tone, `${(atMs / 1000).toFixed(1)} s: ${text}`));
  return `<text x="12" y="${baseline}">${escaped(cut(name, SHORTEN))}<title>${escaped(name)}</title></text>${bars.join('')}${marks.join('')}`;
}

/** A small triangle on the lower edge of the lane. */
const mark = (at: number, y: number, tone: Tone, text: string): string =>
  `<path class="${tone}" stroke="var(--ground)" stroke-width="0.8" d="M${f(at)} ${y + 9}l5 11h-10z"><title>${escaped(text)}</title></path>`;
