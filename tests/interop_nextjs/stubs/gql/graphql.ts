// What the code generator makes, without its types (codegen/ has the real one).
export class TypedDocumentString<Result, Variables> extends String {
  readonly result?: Result;
  readonly variables?: Variables;
  override toString(): string {
    return this.valueOf();
  }
}
