#include "reason.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

namespace dtls {

std::string take_reason() {
  const unsigned long code = ERR_peek_error();
  std::string text;
  if (code != 0) {
    const char* words = ERR_reason_error_string(code);
    text = words != nullptr ? words : "error " + std::to_string(code);
  }
  ERR_clear_error();
  return text;
}

std::string alert_text(int description) {
  return std::string("alert ") + SSL_alert_desc_string_long(description) + " (" + std::to_string(description & 0xff) +
         ")";
}

}  // namespace dtls
