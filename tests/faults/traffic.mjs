// Requests of all kinds, at a steady rate, each over a connection of its own, and a ledger of what became of each.
import { send } from '../e2e/support/http.mjs';
import { until } from '../../testbed/until.mjs';
import { echo } from './kinds.mjs';

/** What is held may take this long, in ms: a fetch and a question one after the other (5 s each), what the filter allows a host to be late with, a slow machine. */
export const LONGEST = 20_000;
const MOST_OPEN = 4000; // beyond this nothing is being answered, and more of it says no more

export class Traffic {
  /** `fault` says whether something is wrong just now; `entries` are the requests of the phase. */
  constructor(kinds, origin, perSecond) {
    Object.assign(this, { origin, perSecond, entries: [], open: new Set(), fault: false, longest: LONGEST, strict: false, mayBeCut: false });
    this.kinds = new Map(kinds.map((kind) => [kind.name, kind]));
    this.deal = kinds.flatMap((kind) => Array(kind.weight).fill(kind));
    this.sent = 0;
  }

  start() {
    let due = 0;
    let [next, last] = [0, performance.now()];
    this.timer = setInterval(() => {
      const now = performance.now();
      due = Math.min(due + ((now - last) / 1000) * this.perSecond, this.perSecond); // what a busy machine missed is not all made up for
      last = now;
      for (; due >= 1; due--) if (this.open.size < MOST_OPEN) this.ask(this.deal[next++ % this.deal.length]);
    }, 20);
  }
  /** Sends no more and waits for what was sent: that all of it ends is the promise. */
  async pause() {
    clearInterval(this.timer);
    await until(`each request has ended; open are ${[...this.open].slice(0, 5).map(({ id, kind }) => `${id} (${kind.name})`)}`, () => this.open.size === 0, {
      seconds: this.longest / 1000 + 15,
    });
  }

  /**
   * Sends one of a kind; resolves to its entry, or to nothing if there is no such token now. What has `left` was given up
   * with `entry.leave()`.
   */
  ask(kind, onOpen) {
    if (typeof kind === 'string') kind = this.kinds.get(kind);
    const id = `r${++this.sent}`;
    const made = kind.make(id);
    if (!made) return undefined;
    const entry = { id, kind, ...made, longest: this.longest, strictAtStart: this.strict, mayBeCut: this.mayBeCut, faultAtStart: this.fault, sentAt: Date.now(), left: false };
    const { url = `${this.origin}/mcp`, token, headers } = made;
    this.entries.push(entry);
    this.open.add(entry);
    entry.done = send(url, {
      token,
      headers: { 'x-fault-id': id, ...headers },
      body: made.body ?? echo(id),
      onOpen: (outgoing) => {
        entry.leave = () => {
          entry.left = true;
          outgoing.destroy();
        };
        onOpen?.(entry);
      },
    }).then(
      (answer) => Object.assign(entry, { status: answer.status, retryAfter: answer.lines('retry-after')[0] }),
      (error) => Object.assign(entry, { error: error.message }),
    ).then(() => {
      Object.assign(entry, { endedAt: Date.now(), faultAtEnd: this.fault, strictAtEnd: this.strict });
      this.open.delete(entry);
      return entry;
    });
    return entry.done;
  }

  /** The entries so far, which are forgotten here. */
  take() {
    return this.entries.splice(0);
  }
}
