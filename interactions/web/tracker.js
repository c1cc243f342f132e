/**
 * Tells the ingest what users do, in batches; keeps events until they are answered. Tabs share one outbox.
 * new Tracker().track({ userId: "u1", videoId: "v1", interactionType: "VIEW", watchTime: 12.5 });
 */
const MAX_EVENTS = 100; // in one call, by the service
const MAX_BYTES = 60_000; // browsers grant beacons 64 KiB
const BACKOFF_MS = 500; // doubling
const LONGEST_MS = 30_000;

export class Tracker {
  #options = {
    url: new URL("/api/track", import.meta.url).href,
    flushEvents: 20,
    flushIntervalMs: 5_000,
    maxWaiting: 1_000,
    name: "feed.tracker", // of the outbox
    onRejected: console.warn, // ({ event, field, reason })
    headers: () => {}, // { authorization }
  };
  #memory = new Map(); // where localStorage is forbidden or full
  #count = 0;
  #failures = 0;
  #most = MAX_EVENTS;
  #notBefore = 0;
  #dueAt = Infinity;
  #timer;
  #beaconed;

  constructor(options) {
    Object.assign(this.#options, options);
    addEventListener("visibilitychange", () => document.hidden && this.#beacon());
    addEventListener("pagehide", () => this.#beacon());
    if (this.waiting) this.#schedule(0);
  }

  /** How many events of all tabs wait. */
  get waiting() {
    return this.#keys().length;
  }

  /** Takes an event by the API's JSON names; returns its id. */
  track(event) {
    const { flushEvents, flushIntervalMs, maxWaiting, name } = this.#options;
    event = { timestamp: new Date().toISOString(), ...event, eventId: event.eventId ?? newId() };
    const text = JSON.stringify(event);
    const waiting = this.waiting + 1;
    if (waiting > maxWaiting) this.#reject(text, "", `${maxWaiting} events wait`);
    else if (size(text) > MAX_BYTES) this.#reject(text, "", `over ${MAX_BYTES} bytes`);
    else {
      this.#keep(`${name}:${Date.now()}.${`${this.#count++}`.padStart(6, 0)}:${event.eventId}`, text);
      this.#schedule(waiting < flushEvents ? flushIntervalMs : 0);
    }
    return event.eventId;
  }

  /** Sends what waits; says whether nothing does any more. */
  async flush() {
    while (this.waiting && (await this.#send(true)));
    return !this.waiting;
  }

  /** Ends; what waits is for the next page. */
  close() {
    clearTimeout(this.#timer);
    this.#dueAt = 0;
  }

  #schedule(inMs) {
    const now = performance.now();
    const at = Math.max(now + inMs, this.#notBefore);
    if (at >= this.#dueAt) return;
    clearTimeout(this.#timer);
    this.#dueAt = at;
    this.#timer = setTimeout(() => {
      this.#dueAt = Infinity;
      this.#send(false);
    }, at - now);
  }

  /** Makes a call, unless a tab is making one; says whether it was answered. */
  async #send(patient) {
    const { flushEvents, flushIntervalMs, name } = this.#options;
    const once = (lock) => lock && this.#exchange();
    const sent = await (navigator.locks?.request(name, { ifAvailable: !patient }, once) ?? once(true));
    const { waiting } = this;
    if (waiting) this.#schedule(sent && waiting >= flushEvents ? 0 : flushIntervalMs);
    return sent;
  }

  async #exchange() {
    const batch = this.#batch(this.#most);
    if (!batch.length) return true;
    let response, answer;
    try {
      response = await fetch(this.#options.url, {
        method: "POST",
        headers: { "content-type": "application/json", ...(await this.#options.headers()) },
        body: body(batch),
        keepalive: true,
        signal: AbortSignal.timeout(10_000),
      });
      answer = await response.json();
    } catch {
      return this.#failed(0);
    }
    if (answer.results?.length === batch.length) this.#settle(batch, answer.results);
    else if ([400, 403, 413].includes(response.status) && answer.reason) this.#divide(batch, answer.detail);
    else return this.#failed(response.headers.get("retry-after") * 1_000 || 0);
    this.#failures = this.#notBefore = 0;
    return true;
  }

  #settle(batch, results) {
    this.#most = MAX_EVENTS;
    batch.forEach(([key, text], index) => {
      const { status, field, reason } = results[index];
      if (!this.#memory.delete(key)) localStorage.removeItem(key);
      if (status === "REJECTED") this.#reject(text, field, reason);
    });
  }

  /** Finds the event for which calls are refused. */
  #divide(batch, reason) {
    this.#most = batch.length >> 1;
    if (!this.#most) this.#settle(batch, [{ status: "REJECTED", field: "interaction", reason }]);
  }

  #failed(hintMs) {
    const ceiling = Math.min(LONGEST_MS, BACKOFF_MS * 2 ** this.#failures++);
    this.#notBefore = performance.now() + hintMs + Math.random() * ceiling;
    this.#schedule(0);
    return false;
  }

  /** A beacon cannot say whether it arrived: its events stay and are sent again. */
  #beacon() {
    const text = body(this.#batch(MAX_EVENTS));
    if (!this.waiting || text === this.#beaconed) return;
    this.#beaconed = text;
    navigator.sendBeacon(this.#options.url, text);
  }

  #batch(most) {
    let room = MAX_BYTES;
    return this.#keys()
      .slice(0, most)
      .map((key) => [key, this.#memory.get(key) ?? localStorage.getItem(key)])
      .filter(([, text]) => text && (room -= size(text) + 1) >= 0);
  }

  #reject(text, field, reason) {
    queueMicrotask(() => this.#options.onRejected({ event: JSON.parse(text), field, reason }));
  }

  #keys() {
    const keys = [...this.#memory.keys()];
    try {
      keys.push(...Object.keys(localStorage).filter((key) => key.startsWith(this.#options.name + ":")));
    } catch {} // forbidden
    return keys.sort();
  }

  #keep(key, text) {
    try {
      localStorage.setItem(key, text);
    } catch {
      this.#memory.set(key, text);
    }
  }
}

const body = (batch) => `{"interactions":[${batch.map(([, text]) => text)}]}`;
const size = (text) => new Blob([text]).size;
const newId = () =>
  crypto.randomUUID?.() ?? // needs TLS
  "10000000-1000-4000-8000-100000000000".replace(/[018]/g, (digit) =>
    (digit ^ (crypto.getRandomValues(new Uint8Array(1))[0] & (15 >> (digit / 4)))).toString(16),
  );
