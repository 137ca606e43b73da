/**
 * Properties draw the same cases in every run, so that what landed stays green. `GLET_SEED=7` draws others, `GLET_SEED=random` new ones each run;
 * `npm run fuzz -- ROUNDS FILES` does that for many rounds.
 */
import * as EffectFastCheck from "effect/FastCheck"
import * as fc from "fast-check"

const given = process.env["GLET_SEED"]
const seed = given === undefined ? 20_261_126 : given === "random" ? Math.floor(Math.random() * 0x7fff_ffff) : Number(given)
if (!Number.isInteger(seed)) throw new Error(`GLET_SEED must be a whole number or "random", not "${given}"`)

// A counterexample is worth shrinking where somebody looks at it; in CI it would take minutes.
const config = { seed, endOnFailure: process.env["CI_JSON"] !== undefined }
fc.configureGlobal(config)
// Effect brings its own copy.
EffectFastCheck.configureGlobal(config)
