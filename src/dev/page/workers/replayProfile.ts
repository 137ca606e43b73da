/** The measured profile that the replay uses: the one that comes with the package. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Profile } from "../../../core/Profile.js"

const decode = Schema.decodeUnknownSync(Schema.parseJson(Profile))

export const replayProfile: Effect.Effect<Profile> = Effect.promise(async (signal) => {
  const response = await fetch(new URL("/resource/profiles/h200/green.json", location.origin), { signal })
  return decode(await response.text())
})
