export function cookies(): Promise<{
  get(name: string): { name: string; value: string } | undefined;
}>;
