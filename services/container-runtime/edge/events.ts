// Who wants to know of changes: the streams of GetContainerEvents.
import type { ContainerEventResponse, Sent } from '#lib/cri/messages.ts';

type Event = Sent<ContainerEventResponse>;
type Subscriber = (event: Event) => void;

export class EventHub {
  readonly #subscribers = new Set<Subscriber>();

  get hasSubscribers(): boolean {
    return this.#subscribers.size > 0;
  }

  subscribe(subscriber: Subscriber): () => void {
    this.#subscribers.add(subscriber);
    return () => this.#subscribers.delete(subscriber);
  }

  publish(event: Event): void {
    for (const subscriber of this.#subscribers) subscriber(event);
  }
}
