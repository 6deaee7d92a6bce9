// The part of Next.js's types that the recipes use.
export interface NextConfig {
  rewrites?: () => Promise<{ source: string; destination: string }[]>;
}
