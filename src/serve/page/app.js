// Draws what /api/v1/board says, again at every event of /api/v1/events. It decides nothing.
"use strict";

const VERDICTS = {
  "true": ["is-true", "✓", "true"],
  "false": ["is-false", "✗", "false"],
  "not judgeable": ["is-unknown", "?", "not judgeable"],
};
const OPEN = ["is-open", "·", "not judged yet"];

let board = null;
let received = 0;

/** An element with attributes and children; text is always text, never markup. */
function make(name, attributes = {}, ...children) {
  const svg = ["svg", "rect", "polygon", "text", "title", "g"].includes(name);
  const element = svg
    ? document.createElementNS("http://www.w3.org/2000/svg", name)
    : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const place = (id) => document.getElementById(id);
const empty = (text) => make("p", { class: "empty" }, text);
const short = (hash) => (hash && hash.length > 16 ? `${hash.slice(0, 9)}…${hash.slice(-4)}` : hash || "");
const hashed = (hash) => make("span", { class: "hash", title: hash }, short(hash));
const tez = (mutez) => `${(Number(mutez) / 1e6).toLocaleString("en", { maximumFractionDigits: 2 })} tez`;
const number = (value) => (typeof value === "string" ? BigInt(value) : value).toLocaleString("en");

function fact(name, value) {
  return value === null || value === undefined || value === ""
    ? null
    : make("div", {}, make("dt", {}, name), make("dd", {}, value));
}

function span(seconds) {
  if (!Number.isFinite(seconds)) return "";
  const left = Math.max(0, Math.round(seconds));
  const [days, hours, minutes] = [Math.floor(left / 86400), Math.floor(left / 3600) % 24, Math.floor(left / 60) % 60];
  if (days > 0) return `${days} d ${hours} h`;
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min ${left % 60} s` : `${left} s`;
}

function clock(name, blocks, runs, blockSeconds) {
  const seconds = blocks * blockSeconds;
  const low = blocks <= 10;
  const time = make("small", { "data-seconds": runs ? seconds : null }, `${Number.isFinite(seconds) ? `about ${span(seconds)}` : ""}`);
  return make("div", { class: `clock${runs ? " runs" : ""}${low ? " low" : ""}` },
    make("small", {}, runs ? `${name}: to move` : name),
    make("b", {}, number(blocks)), make("small", {}, "blocks left, "), time);
}

/** The dissections of a game, one row each; the disputed section opens into the row below. */
function picture(game) {
  const [width, height, gap] = [960, 26, 22];
  const rows = game.rows || [];
  if (rows.length === 0) return null;
  const all = make("svg", {
    class: "picture", role: "img", viewBox: `0 0 ${width} ${rows.length * (height + gap) + 4}`,
    "aria-label": rows.map(spoken).join(". "),
  });
  rows.forEach((row, index) => {
    const top = index * (height + gap) + 14;
    const sections = Math.max(1, row.ticks.length - 1);
    const step = width / sections;
    for (let section = 0; section < sections; section += 1) {
      // Nobody has answered yet: nothing of it is agreed.
      const open = row.disputed >= sections;
      const kind = open ? "open" : section < row.disputed ? "agreed" : section === row.disputed ? "disputed" : "beyond";
      const rect = make("rect", { class: kind, x: section * step + 1, y: top, width: Math.max(1, step - 2), height, rx: 2 });
      rect.append(make("title", {}, `${kind}: ticks ${number(row.ticks[section])} to ${number(row.ticks[section + 1])}`));
      all.append(rect);
    }
    all.append(make("text", { x: 2, y: top - 3 }, `${row.by}: ${number(row.ticks[0])}`));
    all.append(make("text", { x: width - 2, y: top - 3, "text-anchor": "end" }, number(row.ticks[row.ticks.length - 1])));
    if (index + 1 < rows.length && row.disputed < sections) {
      const [left, right, bottom] = [row.disputed * step, (row.disputed + 1) * step, top + height];
      all.append(make("polygon", { class: "zoom", points: `${left},${bottom} ${right},${bottom} ${width},${bottom + gap} 0,${bottom + gap}` }));
    }
  });
  return all;
}

function spoken(row) {
  const sections = row.ticks.length - 1;
  if (row.disputed >= sections) return `${row.by}: ${sections} sections, nothing disputed yet`;
  return `${row.by}: section ${row.disputed + 1} of ${sections} disputed, `
    + `ticks ${row.ticks[row.disputed]} to ${row.ticks[row.disputed + 1]}`;
}

function game(entry) {
  const seconds = board.chain.block_seconds;
  const ours = entry.turn === "ours";
  const state = entry.stage === "final move" ? "final move" : "dissecting";
  return make("article", { class: "card", "aria-label": `Game against ${entry.opponent}` },
    make("header", {},
      make("h3", {}, "against ", hashed(entry.opponent)),
      make("p", { class: `badge ${ours ? "is-ours" : ""}` }, `${state}, ${ours ? "our move" : "their move"}`)),
    make("div", { class: "clocks" },
      clock("Our clock", entry.our_blocks_left, ours, seconds),
      clock("Their clock", entry.their_blocks_left, !ours, seconds)),
    make("dl", {},
      fact("rollup", hashed(entry.rollup)), fact("disputed level", number(entry.inbox_level)),
      fact("opened at", number(entry.start)), fact("slack", `${number(entry.slack)} blocks`),
      fact("ticks in dispute", entry.width && number(entry.width)),
      fact("forecast", entry.forecast)),
    entry.not_playable ? make("p", { class: "is-false" }, `Cannot play: ${entry.not_playable}`) : null,
    picture(entry));
}

/** Commitments by what they build on, from the last cemented one. */
function tree(commitments) {
  const known = new Set(commitments.map((one) => one.hash));
  const under = new Map();
  for (const one of commitments) {
    const parent = known.has(one.predecessor) ? one.predecessor : "";
    under.set(parent, [...(under.get(parent) || []), one]);
  }
  const branch = (parent, top) => {
    const children = under.get(parent) || [];
    if (children.length === 0) return null;
    const items = children.sort((a, b) => a.level - b.level).map((one) => {
      const [style, mark, word] = VERDICTS[one.verdict] || OPEN;
      const stakers = one.stakers.length === 0 ? "no staker seen" : `${one.stakers.length} staker${one.stakers.length > 1 ? "s" : ""}: `;
      return make("li", {},
        make("span", { class: style }, `${mark} ${word} `), `level ${number(one.level)} `, hashed(one.hash),
        one.cemented ? " cemented" : "", one.ours ? make("span", { class: "is-ours" }, " ours") : "",
        make("br"), make("small", {}, stakers, ...one.stakers.flatMap((who, n) => [n ? ", " : "", hashed(who)]),
          one.detail ? ` · ${one.detail}` : ""),
        branch(one.hash, false));
    });
    return make("ul", { class: top ? "tree" : "" }, ...items);
  };
  return branch("", true);
}

function rollup(entry) {
  const strip = entry.strip.map((one) => {
    const [style, mark, word] = VERDICTS[one.verdict] || OPEN;
    const text = `level ${one.level}: ${word}`;
    return make("li", { class: style, title: text }, mark, make("span", { class: "hidden" }, ` ${text}`));
  });
  const bad = entry.stands;
  return make("article", { class: "card" },
    make("header", {}, make("h3", { class: "hash" }, entry.address),
      make("p", { class: `badge ${bad ? "is-false" : entry.blocked ? "is-unknown" : "is-true"}` },
        bad ? "a false commitment stands" : entry.blocked ? "cannot judge" : "well")),
    make("dl", {}, fact("state known to level", number(entry.reached)), fact("true", entry.tally.true),
      fact("false", entry.tally.false), fact("not judgeable", entry.tally.not_judgeable)),
    entry.blocked ? make("p", { class: "is-unknown" }, `Blocked: ${entry.blocked}`) : null,
    make("h4", { class: "hidden" }, "Verdicts of the last periods"),
    strip.length ? make("ol", { class: "strip" }, ...strip) : empty("Nothing published yet."),
    entry.commitments.length
      ? make("details", { open: bad ? "" : null }, make("summary", {}, `Commitments not cemented, with stakers (${entry.commitments.length})`), tree(entry.commitments))
      : null);
}

function table(heads, rows, none) {
  if (rows.length === 0) return empty(none);
  return make("div", { class: "scroll", tabindex: "0" }, make("table", {},
    make("thead", {}, make("tr", {}, ...heads.map((head) => make("th", { scope: "col" }, head)))),
    make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((cell, nth) => make("td", { "data-head": heads[nth] }, cell ?? "")))))));
}

function fill(id, ...children) {
  place(id).replaceChildren(...children.filter((child) => child));
}

function draw() {
  const { chain } = board;
  const trouble = board.rollups.some((one) => one.stands);
  const blind = board.rollups.some((one) => one.blocked);
  const state = place("state");
  const plays = board.games.length > 0;
  state.className = `badge ${trouble ? "is-false" : blind ? "is-unknown" : plays ? "is-ours" : "is-true"}`;
  state.textContent = trouble ? "a false commitment stands" : blind ? "cannot judge" : plays ? "in a game" : "all is well";
  document.title = `${trouble ? "✗ " : ""}watchtower`;
  fill("facts", fact("level", chain.tip && number(chain.tip)), fact("node's head", chain.head && number(chain.head)),
    fact("mode", board.mode), fact("account", board.account && hashed(board.account)),
    fact("balance", board.balance_mutez && tez(board.balance_mutez)),
    fact("staked", board.staked_mutez && tez(board.staked_mutez)));
  fill("holds", ...board.holds.map((why) => make("p", { class: "card hold" }, `Nothing is sent: ${why}`)));
  const { won, lost, drawn } = board.ended;
  const ended = won + lost + drawn ? ` So far: ${won} won, ${lost} lost, ${drawn} drawn.` : "";
  fill("games", ...board.games.map(game), board.games.length && !ended ? null
    : empty(`${board.games.length ? "" : "No game is being played."}${ended}`));
  fill("rollups", ...board.rollups.map(rollup));
  fill("operations", table(["when", "step", "operation", "what"],
    board.operations.map((one) => [clockTime(one.at), one.step, hashed(one.hash), one.detail]),
    "No operation was made."));
  fill("alerts", table(["when", "severity", "what"],
    board.alerts.map((one) => [`${new Date(one.raised_at).toLocaleDateString("sv")} ${clockTime(one.raised_at)}`,
      make("span", { class: one.severity === "critical" ? "is-false" : one.severity === "warning" ? "is-unknown" : "" }, one.severity),
      `${one.message}${one.over_at ? " (over)" : one.acknowledged_by ? ` (${one.acknowledged_by} takes care)` : ""}`]),
    "Nobody had to be told anything."));
  const { health } = board;
  fill("health",
    make("dl", {},
      fact("disk free", size(health.disk_free)), fact("journal", size(health.journal)), fact("states", size(health.states)),
      fact("operations pending", health.pending && `${number(health.pending)}, the oldest for ${number(health.oldest)} blocks`),
      fact("replaced", health.replaced && number(health.replaced)), fact("not there", health.absent.join(", ")),
      fact("nothing can be written", health.trouble)),
    table(["node", "answers", "failed", "state"], health.nodes.map((node) => {
      const trouble = node.disagrees ? "has other final blocks" : node.errors_in_a_row > 0
        ? `failed ${number(node.errors_in_a_row)} times in a row` : node.out_of_sync ? "lags" : "";
      return [node.name, number(node.answers), number(node.errors),
        make("span", { class: trouble ? "is-false" : "is-true" }, trouble || "well")];
    }), "No node was asked yet."));
}

const clockTime = (at) => new Date(at).toLocaleTimeString("sv");

function size(bytes) {
  if (bytes === null || bytes === undefined) return null;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let [value, unit] = [bytes, 0];
  while (value >= 1024 && unit + 1 < units.length) { value /= 1024; unit += 1; }
  return `${value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 1 : 0 })} ${units[unit]}`;
}

/** Counts the running clocks down between two blocks. */
function count() {
  const passed = (Date.now() - received) / 1000;
  for (const time of document.querySelectorAll("[data-seconds]")) {
    time.textContent = `about ${span(Number(time.dataset.seconds) - passed)}`;
  }
}

/** What the API says, arranged as it is drawn. */
function shape(answer) {
  const { status, commitments, dissections, sent } = answer;
  const play = status.play;
  return {
    chain: { tip: status.seen_level, head: status.head_level, block_seconds: answer.block_seconds || NaN },
    mode: play.mode,
    account: play.account,
    balance_mutez: play.balance,
    holds: play.holds,
    staked_mutez: play.purses.reduce((sum, one) => sum + Number(one.staked), 0),
    health: {
      nodes: status.sources, disk_free: status.disk_free, journal: status.journal_bytes,
      states: status.rollups.reduce((sum, one) => sum + one.store_bytes, 0),
      pending: status.operations.pending, oldest: status.operations.oldest_pending_blocks ?? 0,
      replaced: status.operations.replaced, absent: status.absent_folders, trouble: status.disk_trouble,
    },
    ended: { won: play.won, lost: play.lost, drawn: play.drawn },
    rollups: status.rollups.map((one) => {
      const known = commitments[one.address] || { last_cemented_level: null, commitments: [] };
      const claims = known.commitments.map((claim) => ({
        hash: claim.commitment, level: claim.level, predecessor: claim.predecessor, stakers: claim.stakers,
        verdict: claim.verdict && claim.verdict.verdict, detail: claim.verdict && claim.verdict.why,
        ours: claim.ours, cemented: claim.cemented, published: claim.published,
      }));
      const published = claims.filter((claim) => claim.published);
      return {
        // What nobody stakes on any more is over: its staker was slashed.
        stands: claims.some((claim) => claim.verdict === "false" && (claim.cemented || claim.stakers.length > 0)),
        address: one.address, reached: one.reached_level, blocked: one.blocked,
        tally: { true: one.judged_true, false: one.judged_false, not_judgeable: one.not_judgeable },
        strip: published.map(({ level, verdict }) => ({ level, verdict })),
        commitments: claims.filter((claim) => claim.level > (known.last_cemented_level ?? -1) && (claim.published || claim.ours)),
      };
    }),
    games: play.games.map((one, index) => ({
      rollup: one.rollup, opponent: one.opponent, inbox_level: one.level, start: one.start_level, turn: one.turn,
      stage: one.stage, width: one.width, our_blocks_left: one.our_blocks, their_blocks_left: one.their_blocks,
      slack: one.slack, forecast: one.forecast, not_playable: one.not_playable, rows: dissections[index] || [],
    })),
    operations: sent.map((row) => ({ at: row.at, step: row.step, hash: row.operation, detail: row.what ?? "" })),
    alerts: [],
  };
}

let asking = false;
let again = false;
async function refresh() {
  if (asking) { again = true; return; }
  asking = true;
  try {
    const [answer, alerts] = await Promise.all(
      ["api/v1/board", "api/v1/alerts?all=true"].map((path) => fetch(path, { cache: "no-store" })));
    if (!answer.ok) throw new Error(`the tower answers ${answer.status}`);
    const cases = alerts.ok ? await alerts.json() : [];
    board = shape(await answer.json());
    board.alerts = cases.slice(-12).reverse();
    received = Date.now();
    const open = document.activeElement && document.activeElement.id;
    draw();
    if (open && place(open)) place(open).focus();
  } catch (error) {
    const state = place("state");
    state.className = "badge is-false";
    state.textContent = `out of touch: ${error.message}`;
  } finally {
    asking = false;
    if (again) { again = false; setTimeout(refresh, 250); }
  }
}

const events = new EventSource("api/v1/events");
events.onmessage = refresh;
events.onopen = refresh;
events.onerror = () => {
  const state = place("state");
  state.className = "badge is-unknown";
  state.textContent = "connection lost, trying again";
};
for (const kind of ["status", "news", "alert"]) events.addEventListener(kind, refresh);
setInterval(count, 1000);
setInterval(refresh, 30000);
refresh();
