declare module "@graphql-codegen/cli" {
  export type CodegenConfig = object;
}
