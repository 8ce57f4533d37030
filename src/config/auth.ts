/** `auth`: who may come in, and who may what. */
import { ANONYMOUS_POLICIES, type AnonymousPolicy } from "./listeners.ts";
import type { Section } from "./section.ts";

export interface AuthConfig {
  readonly anonymous: AnonymousPolicy;
  /** Absolute path; null = nobody has a password. */
  readonly passwordFile: string | null;
  /** Absolute path; null = who is let in may all. */
  readonly aclFile: string | null;
}

export function readAuth(root: Section): AuthConfig {
  const section = root.sectionOrEmpty("auth");
  const auth: AuthConfig = {
    anonymous: section.oneOf("anonymous", ANONYMOUS_POLICIES, "loopback"),
    passwordFile: section.file("password_file", null),
    aclFile: section.file("acl_file", null),
  };
  section.finish();
  return auth;
}
