/** Polls until `probe` answers something true and returns it; tells what was awaited when the time is over. */
export async function until(what, probe, { seconds = 20, every = 20 } = {}) {
  const deadline = performance.now() + seconds * 1000;
  for (;;) {
    const answer = await probe();
    if (answer) return answer;
    if (performance.now() > deadline) throw new Error(`not within ${seconds} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, every));
  }
}
