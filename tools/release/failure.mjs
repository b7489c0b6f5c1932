// What a command of the release says when it cannot go on: the cause, and what to do about it.
export class Failure extends Error {
  constructor(cause, cure) {
    super(cause);
    this.cure = cure;
  }
}

/** Runs a command: a `Failure` is told in two lines, with code 1. What is a fault of the program keeps its stack. */
export async function command(run) {
  try {
    await run();
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    process.stderr.write(`failed: ${error.message}\n  cure: ${error.cure}\n`);
    process.exitCode = 1;
  }
}
