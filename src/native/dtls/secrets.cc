#include "secrets.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <time.h>

#include <cstring>

namespace dtls {

int64_t seconds_now() {
  timespec now{};
  if (clock_gettime(CLOCK_BOOTTIME, &now) != 0) clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec;
}

RotatingSecret::~RotatingSecret() {
  OPENSSL_cleanse(current_, kSize);
  OPENSSL_cleanse(previous_, kSize);
}

bool RotatingSecret::refresh(int64_t now) {
  if (!has_current_) return rotate(now);
  if (now - since_ < period_) return true;
  // Not used for two periods: the current one is too old to be the one before.
  if (now - since_ >= 2 * static_cast<int64_t>(period_)) has_current_ = false;
  return rotate(now);
}

bool RotatingSecret::rotate(int64_t now) {
  uint8_t fresh[kSize];
  if (RAND_priv_bytes(fresh, kSize) != 1) return false;
  has_previous_ = has_current_;
  memcpy(previous_, current_, kSize);
  memcpy(current_, fresh, kSize);
  OPENSSL_cleanse(fresh, kSize);
  has_current_ = true;
  since_ = now;
  return true;
}

}  // namespace dtls
