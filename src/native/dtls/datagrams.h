// What lies between OpenSSL and the caller: the datagram that has come in, and those that are to go out. A memory BIO
// would run them together; here each read is one datagram and each write is one.
#ifndef SLUICE_DTLS_DATAGRAMS_H_
#define SLUICE_DTLS_DATAGRAMS_H_

#include <openssl/bio.h>

#include <cstddef>
#include <cstdint>

namespace dtls {

/** One datagram to send; its bytes lie behind it. */
struct Datagram {
  Datagram* next;
  size_t length;
  uint8_t* bytes() { return reinterpret_cast<uint8_t*>(this + 1); }
};

class Datagrams {
 public:
  explicit Datagrams(size_t mtu) : mtu_(mtu) {}
  ~Datagrams();
  Datagrams(const Datagrams&) = delete;
  Datagrams& operator=(const Datagrams&) = delete;

  /** A BIO on this object, which must outlive it; nullptr = no memory. */
  BIO* make_bio();

  /** The datagram that the next read takes; the bytes must stay until withdraw(). */
  void offer(const uint8_t* bytes, size_t length) {
    input_ = bytes;
    input_length_ = length;
  }
  /** Forgets what was not read. */
  void withdraw() { input_ = nullptr; }

  bool has_output() const { return first_ != nullptr; }
  /** The next one to send, to be given back by release(); nullptr = none. */
  Datagram* take();
  static void release(Datagram* datagram);
  void drop_output();

 private:
  static int write(BIO* bio, const char* bytes, int length);
  static int read(BIO* bio, char* into, int room);
  static long control(BIO* bio, int command, long number, void* pointer);
  static int create(BIO* bio);
  static const BIO_METHOD* method();

  void push(const char* bytes, size_t length);

  const uint8_t* input_ = nullptr;
  size_t input_length_ = 0;
  Datagram* first_ = nullptr;
  Datagram* last_ = nullptr;
  size_t count_ = 0;
  const size_t mtu_;
};

}  // namespace dtls

#endif  // SLUICE_DTLS_DATAGRAMS_H_
