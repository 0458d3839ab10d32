/** Draws the details of an MCP server, and its state in words and as a colour. */

import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import type { SignIn, Upstream } from '../api';
import { Code } from '../code';
import { inert, inertLine } from '../inert';
import type { ToolActions } from './actions';
import { DetailSection } from './detailSection';
import { Approve, Change } from './tools';

/** The question that a person sees before a browser opens the page of a sign-in. */
export interface SignInQuestion {
  /** The page's address, as the browser parses it. */
  url: string;
  title: string;
  body: string;
}

/** Make the question for a sign-in; throws if its page must not be opened. */
export function questionOf(server: Upstream, page: SignIn, trans: TranslationBundle): SignInQuestion {
  const url = new URL(page.url);
  if (!/^https?:$/.test(url.protocol) || url.username || url.password) {
    throw new Error(trans.__('The sign-in page is not a web address: %1', inertLine(page.url, 100)));
  }
  const name = inertLine(server.name);
  const body = trans.__('%1 (%2) asks you to sign in. The page opens in a new tab.', name, inertLine(server.where));
  const answer = page.gets_code ? ` ${trans.__('The result is sent to %1.', inertLine(page.gets_code))}` : '';
  return { url: url.href, title: trans.__('Sign in at %1?', inertLine(url.host)), body: body + answer };
}

export function stateText(server: Upstream, trans: TranslationBundle): string {
  switch (server.state) {
    case 'connecting':
      return trans.__('Starting…');
    case 'ready':
      return server.withheld?.length
        ? trans._n('%1 tool has changed', '%1 tools have changed', server.withheld.length)
        : trans._n('%1 tool', '%1 tools', server.tools ?? 0);
    case 'down':
      return inertLine(server.error ?? trans.__('not connected'));
    case 'needs sign-in':
      return trans.__('needs a sign-in');
    case 'untrusted':
      return trans.__('not trusted yet');
  }
}

/** The colour of a server's state, as a class of `pctx-State`. */
export function stateClass(server: Upstream): 'ok' | 'running' | 'stopped' | 'failed' {
  switch (server.state) {
    case 'ready':
      return server.withheld?.length ? 'stopped' : 'ok';
    case 'connecting':
      return 'running';
    case 'needs sign-in':
    case 'untrusted':
      return 'stopped';
    case 'down':
      return 'failed';
  }
}

/** A server's state in a word or two. */
export function stateWord(server: Upstream, trans: TranslationBundle): string {
  switch (server.state) {
    case 'ready':
      return server.withheld?.length ? trans.__('needs you') : trans.__('ready');
    case 'connecting':
      return trans.__('connecting');
    case 'needs sign-in':
    case 'untrusted':
      return trans.__('needs you');
    case 'down':
      return trans.__('failed');
  }
}

interface ServerProps {
  server: Upstream;
  actions: ToolActions;
  trans: TranslationBundle;
}

export function ServerDetail({ server, actions, trans }: ServerProps): React.ReactElement {
  const changed = server.changed ?? [];
  const allowed = server.allowed ?? [];
  return (
    <DetailSection label={trans.__('Chosen server')} title={<bdi>{inertLine(server.name)}</bdi>}>
      <p className="pctx-Detail-quiet">
        {stateText(server, trans)} · {trans.__('namespace %1', inertLine(server.namespace))}
      </p>
      {server.state === 'untrusted' && (
        <p className="pctx-Detail-warning">
          {server.transport === 'stdio'
            ? trans.__('This folder has an MCP server. It would run this command with your rights:')
            : trans.__('This folder has an MCP server. Your programs would send data to this address:')}
        </p>
      )}
      <Code label={trans.__('Address')}>{inert(server.where, 1000)}</Code>
      {server.state === 'untrusted' && server.source && (
        <p className="pctx-Detail-quiet">{trans.__('Configured in %1', inertLine(server.source))}</p>
      )}
      {server.error && <p className="pctx-Detail-error">{inert(server.error, 2000)}</p>}
      {(server.log ?? []).length > 0 && server.state === 'down' && (
        <Code label={trans.__('The last lines of its log')}>{inert((server.log ?? []).join('\n'), 4000)}</Code>
      )}
      {allowed.length > 0 && (
        <p className="pctx-Detail-quiet">
          {trans._n('%1 tool is called without asking.', '%1 tools are called without asking.', allowed.length)}
        </p>
      )}
      {(server.problems ?? []).map((problem, index) => (
        <p key={index} className="pctx-Detail-error">
          {inert(problem, 1000)}
        </p>
      ))}
      <div className="pctx-Detail-buttons">
        {server.state === 'needs sign-in' && (
          <Button
            text={trans.__('Sign in')}
            act={() => {
              actions.signIn(server);
            }}
          />
        )}
        {server.state === 'untrusted' && (
          <>
            <Button
              text={server.transport === 'stdio' ? trans.__('Trust and start') : trans.__('Trust and connect')}
              act={() => {
                actions.tellServer(server, 'trust');
              }}
            />
            <Button
              text={trans.__('Ignore')}
              title={trans.__('Close this. The server is not started, and stays in the list.')}
              act={actions.unchoose}
            />
          </>
        )}
        {(changed.length > 0 || (server.new ?? []).length > 0) && (
          <Approve server={server} actions={actions} trans={trans} />
        )}
        {(server.state === 'untrusted' || allowed.length < (server.tools ?? 0)) && (
          <Button
            text={server.state === 'untrusted' ? trans.__('Trust, and allow its tools…') : trans.__('Allow its tools…')}
            act={() => {
              actions.allowTools(server);
            }}
          />
        )}
        {allowed.length > 0 && (
          <Button
            text={trans.__('Ask again')}
            act={() => {
              actions.askAgain(server);
            }}
          />
        )}
        {(server.state === 'ready' || server.state === 'down') && (
          <Button
            text={server.state === 'down' ? trans.__('Try again') : trans.__('Reconnect')}
            act={() => {
              actions.tellServer(server, 'reconnect');
            }}
          />
        )}
        <Button
          text={trans.__('Remove')}
          act={() => {
            actions.removeServer(server);
          }}
        />
      </div>
      {changed.map(tool => (
        <details key={tool.name}>
          <summary>
            <bdi>{inertLine(tool.name)}</bdi>
          </summary>
          <Change change={tool} trans={trans} />
        </details>
      ))}
    </DetailSection>
  );
}

function Button({ text, title, act }: { text: string; title?: string; act: () => void }): React.ReactElement {
  return (
    <button className="jp-mod-styled" title={title} onClick={act}>
      {text}
    </button>
  );
}
