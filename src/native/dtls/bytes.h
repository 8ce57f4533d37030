// A view of somebody else's bytes, and a pointer with a count.
#ifndef SLUICE_DTLS_BYTES_H_
#define SLUICE_DTLS_BYTES_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

namespace dtls {

struct Bytes {
  const uint8_t* data = nullptr;
  size_t length = 0;
  bool empty() const { return length == 0; }
  std::string copy() const {
    return empty() ? std::string() : std::string(reinterpret_cast<const char*>(data), length);
  }
};

/** Counted by hand: JavaScript's garbage collector and OpenSSL's own counts end things in any order. */
class Counted {
 public:
  void retain() { count_ += 1; }
  /** @returns whether that was the last one */
  bool release() { return --count_ == 0; }

 private:
  unsigned count_ = 0;
};

/** Holds one count of T, which is a Counted. */
template <typename T>
class Ref {
 public:
  Ref() = default;
  explicit Ref(T* target) : target_(target) {
    if (target_ != nullptr) target_->retain();
  }
  Ref(const Ref& other) : Ref(other.target_) {}
  Ref(Ref&& other) noexcept : target_(std::exchange(other.target_, nullptr)) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(target_, other.target_);
    return *this;
  }
  ~Ref() {
    if (target_ != nullptr && target_->release()) delete target_;
  }
  T* get() const { return target_; }
  T* operator->() const { return target_; }
  explicit operator bool() const { return target_ != nullptr; }

 private:
  T* target_ = nullptr;
};

}  // namespace dtls

#endif  // SLUICE_DTLS_BYTES_H_
