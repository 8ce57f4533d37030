// A secret that time renews: the one in use, and the one before it, which is still accepted.
#ifndef SLUICE_DTLS_SECRETS_H_
#define SLUICE_DTLS_SECRETS_H_

#include <cstddef>
#include <cstdint>

namespace dtls {

/** Seconds of a clock that only goes forward, and through a suspended machine's sleep, too. */
int64_t seconds_now();

/**
 * kSize random bytes, renewed when they are older than a period, at the next use. Nothing can be made with the ones
 * before; those before them are gone.
 */
class RotatingSecret {
 public:
  static constexpr size_t kSize = 80;

  explicit RotatingSecret(uint32_t period_seconds) : period_(period_seconds) {}
  ~RotatingSecret();
  RotatingSecret(const RotatingSecret&) = delete;
  RotatingSecret& operator=(const RotatingSecret&) = delete;

  /** @returns false = no random numbers to be had */
  bool refresh(int64_t now);
  bool rotate(int64_t now);

  /** kSize bytes; after the first refresh. */
  const uint8_t* current() const { return current_; }
  /** kSize bytes, or nullptr. */
  const uint8_t* previous() const { return has_previous_ ? previous_ : nullptr; }

 private:
  const uint32_t period_;
  int64_t since_ = 0;
  bool has_current_ = false;
  bool has_previous_ = false;
  uint8_t current_[kSize] = {};
  uint8_t previous_[kSize] = {};
};

}  // namespace dtls

#endif  // SLUICE_DTLS_SECRETS_H_
