// A tar+gzip archive of one file whose bytes depend on that file alone. Nothing of it comes from a library that another
// machine may have in another version: zlib builds compress differently, so the data is stored
// (docs/decisions/0011-image.md).

const BLOCK = 512; // of a tar
const STORED_MAX = 0xffff; // bytes in one stored block of DEFLATE (RFC 1951 section 3.2.4)

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, value) => {
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});
function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** A tar (ustar) with one file: readable by all, of nobody, of the time 0. */
export function tar(name, content) {
  const header = Buffer.alloc(BLOCK);
  const octal = (value, digits) => `${value.toString(8).padStart(digits, '0')}\0`;
  const fields = [
    [0, name],
    [100, octal(0o644, 7)],
    [108, octal(0, 7)], // user
    [116, octal(0, 7)], // group
    [124, octal(content.length, 11)],
    [136, octal(0, 11)], // time
    [148, ' '.repeat(8)], // the checksum, counted as spaces
    [156, '0'], // a plain file
    [257, 'ustar\x0000'],
  ];
  for (const [offset, text] of fields) header.write(text, offset, 'latin1');
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  const padding = Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK);
  return Buffer.concat([header, content, padding, Buffer.alloc(2 * BLOCK)]);
}

/** A gzip member (RFC 1952) that stores `content`: no name, no time, no system. */
export function gzip(content) {
  const parts = [Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff])];
  let offset = 0;
  do {
    const chunk = content.subarray(offset, offset + STORED_MAX);
    offset += chunk.length;
    const head = Buffer.alloc(5);
    head.writeUInt8(offset >= content.length ? 1 : 0, 0); // 1: the last block
    head.writeUInt16LE(chunk.length, 1);
    head.writeUInt16LE(chunk.length ^ 0xffff, 3);
    parts.push(head, chunk);
  } while (offset < content.length);
  const tail = Buffer.alloc(8);
  tail.writeUInt32LE(crc32(content), 0);
  tail.writeUInt32LE(content.length, 4);
  return Buffer.concat([...parts, tail]);
}
