// What a Relay application writes: a paginated list, an item that refetches itself by
// its id, a connection inside another, an interface by `node`, and a mutation.
import { graphql } from "react-relay";

export const page = graphql`
  query PostsPageQuery($count: Int!, $after: String) {
    ...Posts_list @arguments(count: $count, after: $after)
    viewer {
      ...Posts_viewer
    }
  }
`;

export const list = graphql`
  fragment Posts_list on Query
  @argumentDefinitions(count: { type: "Int", defaultValue: 7 }, after: { type: "String" })
  @refetchable(queryName: "PostsListPaginationQuery") {
    posts(first: $count, after: $after) @connection(key: "Posts_posts") {
      edges {
        node {
          id
          ...Posts_item
        }
      }
    }
  }
`;

export const item = graphql`
  fragment Posts_item on Post
  @argumentDefinitions(notes: { type: "Int", defaultValue: 5 }, after: { type: "String" })
  @refetchable(queryName: "PostsItemRefetchQuery") {
    title
    author {
      username
    }
    coverFile {
      previewUrl
    }
    notes(first: $notes, after: $after) @connection(key: "Posts_item_notes") {
      edges {
        node {
          body
        }
      }
    }
  }
`;

export const viewer = graphql`
  fragment Posts_viewer on Viewer
  @argumentDefinitions(last: { type: "Int", defaultValue: 7 }, before: { type: "String" })
  @refetchable(queryName: "PostsViewerPaginationQuery") {
    username
    notes(last: $last, before: $before) @connection(key: "Posts_viewer_notes") {
      edges {
        node {
          body
        }
      }
    }
  }
`;

export const one = graphql`
  query PostsOneQuery($id: ID!) {
    node(id: $id) {
      __typename
      ...Posts_item @alias(as: "post")
    }
  }
`;

export const create = graphql`
  mutation PostsCreateMutation($input: CreateNoteInput!, $connections: [ID!]!) {
    createNote(input: $input) {
      ... on CreateNoteSuccess {
        note @prependNode(connections: $connections, edgeTypeName: "NoteEdge") {
          body
        }
      }
      ... on Problem {
        message
      }
    }
  }
`;
