declare module '@healthcloud/auth' {
  interface ScopeRegistry {
    'read:labs': true
    'write:labs': true
  }
}
export {}
