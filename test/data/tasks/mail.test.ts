/** Protects: mail bodies are the text a reader sees, whatever encoding, character set or nesting carried it. */
import { describe, expect, it } from 'vitest';
import { mailBody } from '../../../data/tasks/mail.ts';

function mail(...lines: string[]): Uint8Array {
  return Buffer.from(lines.join('\n'), 'latin1');
}

describe('mailBody', () => {
  it('strips the mbox line and headers, also folded ones, and joins white space', () => {
    const raw = mail('From a@b  Thu Aug 22', 'Subject: Win', '\tmoney', 'X-Spam: yes', '', 'Hello', '', '  there\t!  ');
    expect(mailBody(raw)).toBe('Hello there !');
  });

  it('is empty where there is no body', () => {
    expect(mailBody(mail('Subject: nothing'))).toBe('');
    expect(mailBody(mail(''))).toBe('');
  });

  it('decodes quoted-printable with soft line breaks in the declared character set', () => {
    const headers = ['Content-Type: text/plain; charset="iso-8859-1"', 'Content-Transfer-Encoding: quoted-printable'];
    expect(mailBody(mail(...headers, '', 'caf=E9 un=', 'broken =3D fine'))).toBe('café unbroken = fine');
  });

  it('decodes base64 up to a plain footer', () => {
    const data = Buffer.from('Grüße aus Köln', 'utf8').toString('base64');
    const headers = ['Content-Type: text/plain; charset=utf-8', 'Content-Transfer-Encoding: base64'];
    expect(mailBody(mail(...headers, '', data, '-- list footer'))).toBe('Grüße aus Köln');
  });

  it('reads undeclared 8-bit text as UTF-8 where it is that, else as windows-1252', () => {
    expect(mailBody(Buffer.from('A: b\n\nnaïve', 'utf8'))).toBe('naïve');
    expect(mailBody(mail('A: b', '', 'na\xefve \x93quoted\x94'))).toBe('naïve “quoted”');
    expect(mailBody(mail('Content-Type: text/plain; charset=no-such-set', '', 'na\xefve'))).toBe('naïve');
  });

  it('takes one of alternatives and all texts of a mixed message, leaving attachments out', () => {
    const alternative = ['Content-Type: multipart/alternative; boundary="in"', '', '--in', '', 'plain', '--in'];
    const html = ['Content-Type: text/html', '', '<p>styled</p>', '--in--'];
    const attachment = ['Content-Type: text/plain', 'Content-Disposition: attachment; filename=a.txt', '', 'attached'];
    const image = ['Content-Type: image/png', 'Content-Transfer-Encoding: base64', '', 'iVBORw0KGgo='];
    const raw = mail(
      'Content-Type: multipart/mixed;',
      ' boundary=out',
      '',
      'preamble',
      '--out',
      ...alternative,
      ...html,
      '--out',
      ...attachment,
      '--out',
      ...image,
      '--out',
      '',
      'second',
      '--out--',
      'epilogue',
    );
    expect(mailBody(raw)).toBe('plain second');
  });

  it('falls back to HTML where the plain alternative is empty', () => {
    const parts = [
      '--b',
      'Content-Type: text/plain',
      '',
      ' ',
      '--b',
      'Content-Type: text/html',
      '',
      '<b>Hi</b>',
      '--b--',
    ];
    expect(mailBody(mail('Content-Type: multipart/alternative; boundary=b', '', ...parts))).toBe('Hi');
  });

  it('finds the parts of a multipart body that no header announces', () => {
    expect(mailBody(mail('Subject: x', '', 'note', '--zz', 'Content-Type: text/plain', '', 'text', '--zz--'))).toBe(
      'text',
    );
  });

  it('reduces HTML to its words: no scripts, no words cut by tags or comments, entities decoded', () => {
    const html =
      '<html><head><title>t</title></head><body><script>x=1</script>V<!-- z -->i<b>a</b>gra<br>now &amp; &#146;here&#x27;' +
      '&nbsp;&unknown; 2 < 3<td>cell</td></body>';
    expect(mailBody(mail('Content-Type: text/html', '', html))).toBe("Viagra now & ’here' &unknown; 2 < 3 cell");
    expect(mailBody(mail('Subject: undeclared', '', html))).toBe("Viagra now & ’here' &unknown; 2 < 3 cell");
  });

  it('drops lines of encoded data and control characters', () => {
    expect(mailBody(mail('A: b', '', 'key:', 'QUJD'.repeat(18), 'end\x00\x07'))).toBe('key: end');
  });

  it('ends on messages nested in themselves', () => {
    const nested = 'Content-Type: message/rfc822\n\n'.repeat(1000);
    expect(mailBody(Buffer.from(`${nested}deep`))).not.toContain('undefined');
  });
});
