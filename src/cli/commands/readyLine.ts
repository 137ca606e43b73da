import * as Schema from "effect/Schema"

/** The one line that `glet serve --json` prints when it is ready. */
export const ReadyLine = Schema.Struct({
  apiVersion: Schema.Literal("glet/v1alpha1"),
  kind: Schema.Literal("Ready"),
  url: Schema.String,
  models: Schema.Int,
  modelsReady: Schema.Int,
  glets: Schema.Int,
  pid: Schema.Int
})
