// What of a datagram OpenSSL may see: whole records of a form that honest peers send, and not too many before their
// keys.
#ifndef SLUICE_DTLS_RECORDS_H_
#define SLUICE_DTLS_RECORDS_H_

#include <openssl/ssl.h>

#include "bytes.h"
#include "limits.h"

namespace dtls {

class RecordGate {
 public:
  /** @returns how many bytes of `datagram`, from its begin, are whole records that may pass */
  size_t admit(Bytes datagram, SSL* ssl);
  /** The handshake is complete: what it agreed on is what records are judged by. */
  void settle(SSL* ssl);

 private:
  bool settled_ = false;
  uint32_t early_records_ = 0;
  // What an encrypted record has at least, and any record at most.
  size_t sealed_min_ = 0;
  size_t content_max_ = kRecordBytesMax + kSealingBytesMax;
};

}  // namespace dtls

#endif  // SLUICE_DTLS_RECORDS_H_
