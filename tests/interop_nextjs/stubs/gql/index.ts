import { TypedDocumentString } from "./graphql";

export const graphql = (source: string) => new TypedDocumentString<any, any>(source);
